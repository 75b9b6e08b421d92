// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// manyPeers is how many the devices take at once.
const manyPeers = 10_000

// setconf times how fast the devices take many peers: each time new ones, from
// the same wg.
func (q *quick) setconf() error {
	empty, err := q.conf("empty", "wg0", "ListenPort = 40123", "")
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("[Interface]\nListenPort = 40123\n")
	for i := range manyPeers {
		var key [32]byte
		rand.Read(key[:])
		fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\nAllowedIPs = %s\n", base64.StdEncoding.EncodeToString(key[:]), dst(i))
	}
	peers := filepath.Join(q.dir, "peers.conf")
	if err := os.WriteFile(peers, []byte(b.String()), 0o600); err != nil {
		return err
	}
	fmt.Printf("| `wg setconf` of %d peers | runs | wireguard-go | embedded | spread of embedded | ratio | goal | memory: wireguard-go | embedded | ratio |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", manyPeers)
	for _, client := range []struct{ name, wg string }{{"by the original", q.originalWg}, {"by ours", q.oursWg}} {
		var times [2][]time.Duration
		var memory [2][]int
		err := isolated(func() error {
			for i := range q.runs(7) + 1 {
				for side, program := range []string{q.original, q.ours} {
					took, kib, err := q.setconfOnce(program, empty, client.wg, peers)
					if err != nil {
						return err
					}
					if i > 0 {
						times[side], memory[side] = append(times[side], took), append(memory[side], kib)
					}
				}
			}
			return nil
		})
		if err != nil {
			fmt.Printf("| %s | failed | | | | | | | | |\n", client.name)
			q.fail("`wg setconf` "+client.name, err)
			continue
		}
		t, o := median(times[0]), median(times[1])
		mt, mo := middle(memory[0]), middle(memory[1])
		fmt.Printf("| %s | %d | %s | %s | %s | **%.2f** | 1.2 | %.1f MB | %.1f MB | %.2f |\n", client.name, len(times[0]), ms(t), ms(o),
			spread(times[1]), ratio(o, t), float64(mt)/1024, float64(mo)/1024, float64(mo)/float64(mt))
	}
	return nil
}

// setconfOnce brings up an empty tunnel and gives it the peers. It returns how
// long that took, and the device's memory in KiB.
func (q *quick) setconfOnce(program, empty, wg, peers string) (took time.Duration, kib int, err error) {
	if _, err := q.timed(program, "up", empty); err != nil {
		return 0, 0, err
	}
	if took, err = q.timed(wg, "setconf", "wg0", peers); err != nil {
		return 0, 0, err
	}
	if kib, err = serverPeak("wg0"); err != nil {
		return 0, 0, err
	}
	out, err := exec.Command(wg, "show", "wg0", "peers").Output()
	if got := strings.Count(string(out), "\n"); got != manyPeers || err != nil {
		return 0, 0, fmt.Errorf("%s: the device has %d peers, %v; want %d", program, got, err, manyPeers)
	}
	if _, err = q.timed(program, "down", empty); err != nil {
		return 0, 0, err
	}
	return took, kib, settle("wg0")
}

func middle[T int | float64](list []T) T {
	return slices.Sorted(slices.Values(list))[(len(list)-1)/2]
}

// The two ends of a tunnel, between namespaces that a cable joins.
const far = "far"

// throughput runs iperf3 through tunnels that have the same implementation at
// both ends.
func (q *quick) throughput() error {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return errors.New("throughput: iperf3 is missing. On Debian: apt-get install iperf3")
	}
	near, beyond, err := q.ends()
	if err != nil {
		return err
	}
	var rates [2][]float64
	err = isolated(func() error {
		for _, args := range []string{
			"netns add " + far,
			"link add near0 type veth peer name far0 netns " + far,
			"address add 198.51.100.1/24 dev near0",
			"-n " + far + " address add 198.51.100.2/24 dev far0",
			"link set near0 up",
			"-n " + far + " link set far0 up",
			"-n " + far + " link set lo up",
		} {
			if err := ip(args); err != nil {
				return err
			}
		}
		for range q.runs(7) {
			for side, program := range []string{q.original, q.ours} {
				rate, err := q.throughputOnce(program, near, beyond)
				if err != nil {
					return err
				}
				rates[side] = append(rates[side], rate)
			}
		}
		return ip("netns delete " + far)
	})
	if err != nil {
		return fmt.Errorf("throughput: %w", err)
	}
	t, o := middle(rates[0]), middle(rates[1])
	fmt.Print("| throughput, TCP | runs | wireguard-go | spread | embedded | spread | embedded / wireguard-go | goal |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	fmt.Printf("| %d seconds of iperf3 | %d | %.0f Mbit/s | %.0f to %.0f | %.0f Mbit/s | %.0f to %.0f | **%.2f** | 3 |\n", q.seconds(), len(rates[0]),
		t, slices.Min(rates[0]), slices.Max(rates[0]), o, slices.Min(rates[1]), slices.Max(rates[1]), o/t)
	return nil
}

// ends writes the files of the two ends of a tunnel.
func (q *quick) ends() (near, beyond string, err error) {
	var private, public [2]string
	for i := range 2 {
		key, err := exec.Command(q.oursWg, "genkey").Output()
		if err != nil {
			return "", "", fmt.Errorf("%s genkey: %w", q.oursWg, err)
		}
		pubkey := exec.Command(q.oursWg, "pubkey")
		pubkey.Stdin = strings.NewReader(string(key))
		pub, err := pubkey.Output()
		if err != nil {
			return "", "", fmt.Errorf("%s pubkey: %w", q.oursWg, err)
		}
		private[i], public[i] = string(key), string(pub)
	}
	var paths [2]string
	for i, dev := range []string{"wgnear", "wgfar"} {
		paths[i] = filepath.Join(q.dir, dev+".conf")
		text := fmt.Sprintf("[Interface]\nPrivateKey = %sAddress = 10.77.0.%d/24\nListenPort = 51820\n"+
			"[Peer]\nPublicKey = %sAllowedIPs = 10.77.0.%d/32\nEndpoint = 198.51.100.%d:51820\n",
			private[i], i+1, public[1-i], 2-i, 2-i)
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			return "", "", err
		}
	}
	return paths[0], paths[1], nil
}

func (q *quick) seconds() int {
	if q.short {
		return 2
	}
	return 4
}

// throughputOnce brings the tunnel up, measures, and takes it down. The rate
// is what arrived, in Mbit/s, without the first second.
func (q *quick) throughputOnce(program, near, beyond string) (rate float64, err error) {
	inFar := []string{"ip", "netns", "exec", far}
	at := [][]string{{program}, append(inFar, program)}
	for i, conf := range []string{near, beyond} {
		if _, err := q.timed(append(slices.Clone(at[i]), "up", conf)...); err != nil {
			return 0, err
		}
	}
	if rate, err = q.iperf3(inFar); err != nil {
		return 0, err
	}
	for i, conf := range []string{near, beyond} {
		if _, err := q.timed(append(slices.Clone(at[i]), "down", conf)...); err != nil {
			return 0, err
		}
	}
	return rate, errors.Join(settle("wgnear"), settle("wgfar"))
}

func (q *quick) iperf3(inFar []string) (rate float64, err error) {
	args := append(slices.Clone(inFar), "iperf3", "-s", "-1", "-B", "10.77.0.2", "--forceflush")
	server := exec.Command(args[0], args[1:]...)
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			return 0, errors.New("the server of iperf3 ended")
		}
		if strings.Contains(lines.Text(), "Server listening") {
			break
		}
	}
	text, err := exec.Command("iperf3", "-c", "10.77.0.2", "-J", "-O", "1", "-t", fmt.Sprint(q.seconds())).Output()
	var result struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if e := json.Unmarshal(text, &result); e != nil || err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", errors.Join(err, e), result.Error)
	}
	return result.End.Received.Rate / 1e6, nil
}
