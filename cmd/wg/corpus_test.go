// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"wgtools/internal/fakedevice"
)

// The corpus: what the original did in 964 cases (testdata/README.md says how
// they are written), asked of this wg, each with devices of its own in a
// network and a mount namespace.

var (
	corpusWG = flag.String("wg", "", "run the corpus against this `program` instead of this package's")
	corpusID = flag.String("case", "", "run only cases whose id contains `text`")
)

const corpusDir = "../../testdata/wg"

// A testCase is one case of the corpus.
type testCase struct {
	ID      string   `json:"id"`
	Tags    []string `json:"tags"`
	Differs string   `json:"differs"` // why ours is not what the original does

	Argv       []string                   `json:"argv"`
	Script     string                     `json:"script"` // for bash, instead of argv
	Env        map[string]string          `json:"env"`
	Stdin      text                       `json:"stdin"`
	TTY        bool                       `json:"tty"` // stdout is a terminal
	StdoutMode string                     `json:"stdout_mode"`
	Files      map[string]text            `json:"files"`
	Devices    map[string]json.RawMessage `json:"devices"` // a Spec, or the name of one in devices.json
	NoDir      bool                       `json:"no_socket_dir"`
	Etc        map[string]string          `json:"etc"`
	Timeout    float64                    `json:"timeout"` // seconds

	StdoutAs mode           `json:"stdout_as"`
	StderrAs mode           `json:"stderr_as"`
	Exit     int            `json:"exit"`
	Stdout   expectation    `json:"stdout"`
	Stderr   expectation    `json:"stderr"`
	State    map[string]any `json:"state"` // of the devices that change
}

// A text is a string, {"base64": …}, or {"head": …, "repeat": n, "each": …}.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	var v struct {
		Base64     []byte
		Head, Each string
		Repeat     int
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	s := string(v.Base64) + v.Head
	for i := range v.Repeat {
		s += fakedevice.Fill(v.Each, i)
	}
	*t = text(s)
	return nil
}

// An expectation is a text, or the SHA-256 of a long one.
type expectation struct{ text, sum string }

func (e *expectation) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &e.text)
	}
	var v struct {
		SHA256 string
		Base64 string
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	plain, err := base64.StdEncoding.DecodeString(v.Base64)
	e.text, e.sum = string(plain), v.SHA256
	return err
}

// A mode says what of a text counts: all of it if empty, or the words below.
type mode struct{ word, pattern string }

func (m *mode) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &m.word)
	}
	var v struct{ Re string }
	err := json.Unmarshal(b, &v)
	m.pattern = v.Re
	return err
}

var noDevice = regexp.MustCompile(`(?m): (?:Protocol not supported|No such device|Operation not supported|No such file or directory)$`)
var blockStart = regexp.MustCompile(`\n\n((?:\x1b\[[0-9;]*m)*interface)`)

// canonical returns what counts of a text.
func (m mode) canonical(s string) string {
	if m.pattern != "" {
		if regexp.MustCompile(`^(?s:` + m.pattern + `)$`).MatchString(s) {
			return "(as described)"
		}
		return s
	}
	switch m.word {
	case "ignore":
		return ""
	case "nonempty":
		if strings.TrimSpace(s) != "" {
			return "(something)"
		}
		return ""
	case "firstline":
		s, _, _ = strings.Cut(s, "\n")
	case "nodev": // the words for it depend on the kernel
		s = noDevice.ReplaceAllString(s, ": (no such device)")
	case "words": // the order of devices is the directory's
		list := strings.Split(strings.TrimRight(s, "\n"), " ")
		slices.Sort(list)
		s = strings.Join(list, " ") + strings.Repeat("\n", strings.Count(s, "\n"))
	case "lines":
		list := slices.Collect(strings.Lines(s))
		slices.SortStableFunc(list, func(a, b string) int {
			a, _, _ = strings.Cut(a, "\t")
			b, _, _ = strings.Cut(b, "\t")
			return strings.Compare(a, b)
		})
		s = strings.Join(list, "")
	case "blocks":
		s = strings.TrimRight(s, "\n") + "\n"
		list := strings.Split(blockStart.ReplaceAllString(s, "\n\x00$1"), "\x00")
		slices.Sort(list)
		s = strings.Join(list, "\n")
	}
	return s
}

func (e expectation) matches(m mode, got string) bool {
	if e.sum != "" {
		sum := sha256.Sum256([]byte(got))
		return hex.EncodeToString(sum[:]) == e.sum
	}
	return m.canonical(got) == e.text
}

var badKey = regexp.MustCompile("(Key is not the correct length or format: `)[^']*'")

// saysAsMuch reports whether stderr has every line of the original's, in their
// order. It may have more, but only where the original says something, and a
// secret key may be hidden.
func saysAsMuch(want, got string) bool {
	if want == "" {
		return got == ""
	}
	if strings.Contains(got, "goroutine ") {
		return false
	}
	if strings.Contains(got, "(hidden)") {
		want = badKey.ReplaceAllString(want, "${1}(hidden)'")
		got = badKey.ReplaceAllString(got, "${1}(hidden)'")
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for line := range strings.Lines(want) {
		i := slices.Index(lines, strings.TrimSuffix(line, "\n"))
		if i < 0 {
			return false
		}
		lines = lines[i+1:]
	}
	return true
}

func loadCorpus(t testing.TB) []testCase {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(corpusDir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for _, path := range paths {
		if filepath.Base(path) == "devices.json" {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var group []testCase
		if err := json.Unmarshal(b, &group); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		cases = append(cases, group...)
	}
	if len(cases) < 900 {
		t.Fatalf("only %d cases in %s", len(cases), corpusDir)
	}
	if *corpusID != "" {
		cases = slices.DeleteFunc(cases, func(c testCase) bool { return !strings.Contains(c.ID, *corpusID) })
	}
	return cases
}

// corpusWorker is set in the processes that run cases: "NUMBER/HOW-MANY".
const corpusWorker = "WGTOOLS_CORPUS_WORKER"

// TestCorpus starts workers in namespaces of their own and reports what they
// find, case by case.
func TestCorpus(t *testing.T) {
	if spec := os.Getenv(corpusWorker); spec != "" {
		runWorker(t, spec)
		return
	}
	cases := loadCorpus(t)
	program := *corpusWG
	if program == "" {
		program = buildWG(t)
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	workers := 4 * runtime.NumCPU()
	verdicts := map[string]string{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestCorpus$", "-wg="+program, "-case="+*corpusID)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d/%d", corpusWorker, n, workers))
			cmd.SysProcAttr = namespaces()
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				mu.Lock()
				verdicts["worker"] = err.Error()
				mu.Unlock()
				return
			}
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var v struct{ ID, Verdict string }
				if rest, ok := strings.CutPrefix(lines.Text(), "verdict "); ok && json.Unmarshal([]byte(rest), &v) == nil {
					mu.Lock()
					verdicts[v.ID] = v.Verdict
					mu.Unlock()
				}
			}
			if err := cmd.Wait(); err != nil && stderr.Len() > 0 {
				mu.Lock()
				verdicts["worker"] = stderr.String()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if why, failed := verdicts["worker"]; failed && len(verdicts) == 1 {
		t.Skipf("no namespaces here (needs root, or unprivileged user namespaces): %s", why)
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			switch verdict, ok := verdicts[c.ID]; {
			case !ok:
				t.Fatalf("the worker did not come to this case: %s", verdicts["worker"])
			case verdict != "":
				t.Error(verdict)
			}
		})
	}
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// buildWG builds this package's program.
func buildWG(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wg")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// etc is what name look-ups read, so that no case depends on the machine.
var etc = map[string]string{
	"hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n192.0.2.10 vpn.example.org vpn\n" +
		"198.51.100.7 Server-1.Example.NET # office\n2001:db8::7 v6.example.org\n" +
		"127.0.0.9 dual.example.org\n2001:db8::9 dual.example.org\n",
	"nsswitch.conf": "hosts: files\nservices: files\n",
	"resolv.conf":   "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
	"services": "echo 7/tcp\necho 7/udp\nssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp www\n" +
		"ntp 123/udp\nhttps 443/tcp\nhttps 443/udp\nopenvpn 1194/tcp\nopenvpn 1194/udp\n",
}

// A worker runs cases, one after the other, in its namespaces.
type worker struct {
	program, dir, sockets string
	devices               map[string]json.RawMessage
}

func runWorker(t *testing.T, spec string) {
	number, count, _ := strings.Cut(spec, "/")
	n, err1 := strconv.Atoi(number)
	of, err2 := strconv.Atoi(count)
	if err1 != nil || err2 != nil {
		t.Fatalf("%s=%s", corpusWorker, spec)
	}
	w, err := newWorker(t.TempDir())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		t.FailNow()
	}
	for i, c := range loadCorpus(t) {
		if i%of != n {
			continue
		}
		verdict := ""
		for range 4 { // a second may pass at the wrong moment
			if verdict = w.verdict(&c); verdict == "" || !bytes.Contains(w.spec(c.Devices), []byte(`"now`)) {
				break
			}
		}
		b, err := json.Marshal(map[string]string{"ID": c.ID, "Verdict": verdict})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("verdict %s\n", b)
	}
}

func (w *worker) spec(devices map[string]json.RawMessage) []byte {
	var all []byte
	for _, d := range devices {
		all = append(all, w.resolve(d)...)
	}
	return all
}

// resolve looks up a device that is given by its name.
func (w *worker) resolve(d json.RawMessage) json.RawMessage {
	var name string
	if json.Unmarshal(d, &name) == nil {
		return w.devices[name]
	}
	return d
}

func newWorker(dir string) (*worker, error) {
	w := &worker{program: *corpusWG, dir: dir}
	run, err := filepath.EvalSymlinks("/var/run")
	if err != nil {
		return nil, err
	}
	w.sockets = filepath.Join(run, "wireguard")
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", run, "tmpfs", 0, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", run, err)
	}
	for name, content := range etc {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
		target, err := filepath.EvalSymlinks("/etc/" + name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := syscall.Mount(path, target, "", syscall.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("mount %s: %w", target, err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return nil, err
	}
	script := fmt.Sprintf("#!/bin/bash\nexec -a wg '%s' \"$@\"\n", w.program)
	if err := os.WriteFile(filepath.Join(bin, "wg"), []byte(script), 0o755); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(corpusDir, "devices.json"))
	if err != nil {
		return nil, err
	}
	return w, json.Unmarshal(b, &w.devices)
}

// verdict runs a case and says how it differs from what is expected, "" if it doesn't.
func (w *worker) verdict(c *testCase) string {
	seen, err := w.run(c)
	if err != nil {
		return "cannot be run: " + err.Error()
	}
	var b strings.Builder
	if seen.exit != c.Exit {
		fmt.Fprintf(&b, "exit %d, want %d\n", seen.exit, c.Exit)
	}
	if !c.Stdout.matches(c.StdoutAs, seen.stdout) {
		fmt.Fprintf(&b, "stdout:\n%s\nwant:\n%s%s\n", seen.stdout, c.Stdout.text, c.Stdout.sum)
	}
	if !c.Stderr.matches(c.StderrAs, seen.stderr) &&
		!saysAsMuch(c.Stderr.text, c.StderrAs.canonical(seen.stderr)) {
		fmt.Fprintf(&b, "stderr:\n%s\nwant:\n%s\n", seen.stderr, c.Stderr.text)
	}
	want := seen.initial
	if sum, ok := c.State["sha256"].(string); ok {
		all, err := json.Marshal(seen.state)
		if got := sha256.Sum256(all); err != nil || hex.EncodeToString(got[:]) != sum {
			fmt.Fprintf(&b, "state has another sum than %s\n", sum)
		}
		want = seen.state
	} else {
		maps.Copy(want, c.State)
	}
	if !reflect.DeepEqual(seen.state, want) {
		got, _ := json.Marshal(seen.state)
		expected, _ := json.Marshal(want)
		fmt.Fprintf(&b, "state:\n%s\nwant:\n%s\n", got, expected)
	}
	return b.String()
}

// outcome is what a run of a case left behind.
type outcome struct {
	exit           int
	stdout, stderr string
	initial, state map[string]any
}

func (w *worker) run(c *testCase) (o outcome, err error) {
	dir, err := os.MkdirTemp(w.dir, "case")
	if err != nil {
		return o, err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(w.sockets, 0o755); err != nil {
		return o, err
	}
	if c.NoDir {
		if err := os.Remove(w.sockets); err != nil {
			return o, err
		}
	}
	for name, content := range c.Etc {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
			return o, err
		}
		defer os.WriteFile(filepath.Join(w.dir, name), []byte(etc[name]), 0o644)
	}
	for name, content := range c.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return o, err
		}
	}
	servers := map[string]*fakedevice.Server{}
	kinds := map[string]string{}
	o.initial, o.state = map[string]any{}, map[string]any{}
	for name, raw := range c.Devices {
		var spec fakedevice.Spec
		if err := json.Unmarshal(w.resolve(raw), &spec); err != nil {
			return o, err
		}
		s, err := fakedevice.Serve(w.sockets, name, spec)
		if err != nil {
			return o, err
		}
		defer s.Close()
		servers[name], kinds[name] = s, spec.Kind
		o.initial[name] = plain(deviceState(s, spec.Kind))
	}
	if err := w.execute(c, dir, &o); err != nil {
		return o, err
	}
	for name, s := range servers {
		exists := deviceState(s, kinds[name])
		if err := s.Close(); err != nil {
			return o, err
		}
		if kinds[name] == "" {
			exists = s.Device.State()
		}
		o.state[name] = plain(exists)
		for seconds, told := range s.Told() {
			exact := regexp.MustCompile(`\b` + seconds + `\b`)
			o.stdout = exact.ReplaceAllLiteralString(o.stdout, "<"+told+">")
			o.stderr = exact.ReplaceAllLiteralString(o.stderr, "<"+told+">")
		}
	}
	return o, nil
}

func deviceState(s *fakedevice.Server, kind string) any {
	if kind == "" {
		return s.Device.State()
	}
	return map[string]any{"socket": s.SocketExists()}
}

// plain turns a value into what JSON makes of it.
func plain(v any) (p any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return err
	}
	return p
}

func (w *worker) execute(c *testCase, dir string, o *outcome) error {
	cmd := &exec.Cmd{Path: w.program, Args: append([]string{"wg"}, c.Argv...), Dir: dir}
	if c.Script != "" {
		cmd = exec.Command("bash", "-c", c.Script)
		cmd.Dir = dir
	}
	cmd.Env = []string{"PATH=" + w.dir + "/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "HOME=" + dir, "TERM=xterm"}
	for name, value := range c.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdin = strings.NewReader(string(c.Stdin))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	drained := make(chan struct{})
	close(drained)
	var terminal *os.File
	switch {
	case c.TTY:
		master, slave, err := pty.Open()
		if err != nil {
			return err
		}
		defer master.Close()
		terminal, cmd.Stdout = slave, slave
		if err := raw(slave); err != nil {
			return err
		}
		drained = make(chan struct{})
		go func() {
			defer close(drained)
			io.Copy(&stdout, master) // ends with EIO once the other side is closed
		}()
	case c.StdoutMode != "":
		perm, err := strconv.ParseUint(c.StdoutMode, 8, 32)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(dir, ".stdout"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Chmod(os.FileMode(perm)); err != nil {
			return err
		}
		cmd.Stdout = f
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	limit := 20 * time.Second
	if c.Timeout > 0 {
		limit = time.Duration(c.Timeout * float64(time.Second))
	}
	timer := time.AfterFunc(limit, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	timer.Stop()
	if terminal != nil {
		terminal.Close()
	}
	<-drained
	if f, ok := cmd.Stdout.(*os.File); ok && terminal == nil {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(&stdout, f); err != nil {
			return err
		}
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return err
	}
	o.exit = cmd.ProcessState.ExitCode()
	called := regexp.MustCompile(`(?m)^(?:` + regexp.QuoteMeta(w.program) + `|` + regexp.QuoteMeta(filepath.Base(w.program)) + `): `)
	o.stdout = strings.ReplaceAll(stdout.String(), dir, "<dir>")
	o.stderr = called.ReplaceAllString(strings.ReplaceAll(stderr.String(), dir, "<dir>"), "wg: ")
	return nil
}

// raw keeps the terminal from changing what is written to it.
func raw(f *os.File) error {
	_, err := term.MakeRaw(int(f.Fd()))
	return err
}
