// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package fakedevice

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"wgtools/internal/keys"
)

// Fill writes number i into a text: {key}, {i}, {hi} and {lo}.
func Fill(text string, i int) string {
	if !strings.Contains(text, "{") {
		return text
	}
	key := keys.Key(sha256.Sum256([]byte("peer " + strconv.Itoa(i))))
	return strings.NewReplacer("{key}", key.Base64(), "{i}", strconv.Itoa(i),
		"{hi}", strconv.Itoa(i>>8), "{lo}", strconv.Itoa(i&255)).Replace(text)
}

// A Server is a device behind the socket DIR/NAME.sock, or something that only
// looks like one.
type Server struct {
	Device *Device
	spec   Spec
	path   string
	ln     net.Listener
	done   sync.WaitGroup

	mu    sync.Mutex
	told  map[string]string
	conns map[net.Conn]bool
}

// Serve starts a server in the directory dir.
func Serve(dir, name string, spec Spec) (*Server, error) {
	s := &Server{spec: spec, path: filepath.Join(dir, name+".sock"), told: map[string]string{}, conns: map[net.Conn]bool{}}
	var err error
	if s.Device, err = New(spec); err != nil {
		return nil, err
	}
	switch spec.Kind {
	case "file":
		return s, os.WriteFile(s.path, nil, 0o600)
	case "directory":
		return s, os.Mkdir(s.path, 0o700)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(spec.Kind != "stale")
	if spec.Kind == "stale" {
		return s, ln.Close()
	}
	s.ln = ln
	s.done.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.done.Go(func() {
			defer c.Close()
			s.converse(c)
		})
	}
}

func (s *Server) converse(c net.Conn) {
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		operation, err := r.ReadString('\n')
		if err != nil || operation != "get=1\n" && operation != "set=1\n" {
			return
		}
		request, err := readRequest(r)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(s.spec.Delay * float64(time.Second)))
		canned, isCanned := s.spec.Answers[operation[:3]]
		var answer []byte
		switch {
		case isCanned:
			answer = []byte(canned)
		case operation == "get=1\n":
			s.mu.Lock()
			answer = s.Device.Get(time.Now(), s.told)
			s.mu.Unlock()
		default:
			answer = fmt.Appendf(nil, "errno=%d\n\n", s.Device.Set(request))
		}
		if s.write(c, answer) != nil || isCanned {
			return
		}
	}
}

func (s *Server) write(c net.Conn, answer []byte) error {
	step := len(answer)
	if s.spec.Chunk > 0 {
		step = s.spec.Chunk
	}
	for len(answer) > 0 {
		n := min(step, len(answer))
		if _, err := c.Write(answer[:n]); err != nil {
			return err
		}
		if answer = answer[n:]; len(answer) > 0 {
			time.Sleep(2 * time.Millisecond) // so that they are read one by one
		}
	}
	return nil
}

// Told returns what the moments relative to now were told as: seconds to text.
func (s *Server) Told() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// SocketExists reports whether the socket, or what looks like one, is still there.
func (s *Server) SocketExists() bool {
	_, err := os.Lstat(s.path)
	return err == nil
}

// grace is how long a connection may still be talked on while its server closes.
const grace = 2 * time.Second

// Close ends the server, once what it has under way is answered, and removes
// what it put into the directory. Clients that go on talking are cut off.
func (s *Server) Close() error {
	var err error
	if s.ln != nil {
		err = s.ln.Close()
		cut := time.AfterFunc(grace, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for c := range s.conns {
				c.Close()
			}
		})
		s.done.Wait()
		cut.Stop()
	}
	if e := os.Remove(s.path); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}
