// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/quick"
)

// runDir is where records and locks are while there are tunnels.
const runDir = "/run/wgtools"

// A journal keeps records as files: "wg0.json" for the link wg0. Network
// namespaces may share the directory, so in those beside the first one, as far
// as that can be told, the names have the namespace's number too:
// "wg0@4026532281.json".
type journal struct {
	dir    string
	suffix string // "" or "@4026532281"
	boot   string // identifies the boot: of an earlier one, nothing is left
}

var _ quick.Journal = (*journal)(nil)

func newJournal(dir string) *journal {
	j := &journal{dir: dir}
	var own, first unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &own) == nil && (unix.Stat("/proc/1/ns/net", &first) != nil || own.Ino != first.Ino) {
		j.suffix = "@" + strconv.FormatUint(own.Ino, 10)
	}
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	j.boot = strings.TrimSpace(string(id))
	return j
}

func (j *journal) path(dev string) string { return filepath.Join(j.dir, dev+j.suffix+".json") }

// An entry is what a record's file has.
type entry struct {
	Version int // of this format
	Boot    string
	quick.Record
	// SrcValidMark is what that parameter is to be again, in version 1.
	SrcValidMark string `json:",omitempty"`
}

// version is that of what is written. A program of an earlier one refuses it:
// what it wouldn't know of, such as a kill switch, it would leave behind. Read
// knows the earlier ones, of tunnels that were up when the program was replaced.
const version = 2

// Read implements [quick.Journal]. A file that isn't understood is an error:
// to take it for nothing could leave a machine without its network.
func (j *journal) Read(dev string) (*quick.Record, error) { return j.read(j.path(dev)) }

func (j *journal) read(path string) (*quick.Record, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var e entry
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err == nil && (e.Version < 1 || e.Version > version) {
		err = fmt.Errorf("its version is %d, not 1 to %d", e.Version, version)
	}
	if err != nil {
		return nil, &problem{
			line:   fmt.Sprintf("the record of what was set up can't be read: %s: %v", path, err),
			cause:  err,
			advice: []string{"hint: remove the file, and what may be left of the tunnel, by hand"},
		}
	}
	if e.SrcValidMark != "" {
		e.Sysctls = append(e.Sysctls, quick.Sysctl{Name: quick.SrcValidMark, Value: "1", Before: e.SrcValidMark})
	}
	if e.Boot != j.boot {
		// The kernel forgot its part; of what is in files, the name servers are left.
		e.Record = quick.Record{Dev: e.Dev, Phase: e.Phase, Link: -1, Config: e.Config, Beyond: quick.Beyond{DNS: e.DNS}}
	}
	return &e.Record, nil
}

// Write implements [quick.Journal].
func (j *journal) Write(r *quick.Record) error {
	text, err := json.MarshalIndent(entry{Version: version, Boot: j.boot, Record: *r}, "", "\t")
	if err != nil {
		return err
	}
	return j.write(j.path(r.Dev), append(text, '\n'))
}

// write makes text the content of a file.
func (j *journal) write(path string, text []byte) error {
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return err
	}
	// Nobody reads half a record, whenever this ends. What is written is in
	// memory: a power cut takes all that it is about along.
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// Remove implements [quick.Journal]. The directory goes with its last file.
func (j *journal) Remove(dev string) error {
	return errors.Join(removeIfThere(j.baselinePath(dev)), removeIfThere(j.path(dev)))
}

func (j *journal) baselinePath(dev string) string { return filepath.Join(j.dir, dev+j.suffix+".base") }

// A baselineEntry is what a baseline's file has.
type baselineEntry struct {
	Version  int
	Boot     string
	Baseline *quick.Baseline
}

// Baseline implements [quick.Journal]. One that isn't understood is as good as
// none: it only says what others did.
func (j *journal) Baseline(dev string) (*quick.Baseline, error) {
	text, err := os.ReadFile(j.baselinePath(dev))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var e baselineEntry
	if json.Unmarshal(text, &e) != nil || e.Version != version || e.Boot != j.boot {
		return nil, nil
	}
	return e.Baseline, nil
}

// WriteBaseline implements [quick.Journal].
func (j *journal) WriteBaseline(dev string, b *quick.Baseline) error {
	text, err := json.Marshal(baselineEntry{version, j.boot, b})
	if err != nil {
		return err
	}
	return j.write(j.baselinePath(dev), append(text, '\n'))
}

// Others implements [quick.Journal].
func (j *journal) Others(dev string) (list []*quick.Record, err error) {
	names, err := os.ReadDir(j.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range names {
		name, ok := strings.CutSuffix(e.Name(), j.suffix+".json")
		if !ok || name == dev || strings.Contains(name, "@") {
			continue
		}
		r, err := j.Read(name)
		if err != nil {
			return nil, err
		}
		if r != nil {
			list = append(list, r)
		}
	}
	return list, err
}

// Exclusive implements [quick.Journal].
func (j *journal) Exclusive(ctx context.Context, f func() error) error {
	unlock, err := j.lock(ctx, "", true)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// errLocked says that another process has the lock.
var errLocked = errors.New("locked")

// lockBriefly takes the lock of the tunnel dev if nobody has it, for so short a
// time that others wait for it.
func (j *journal) lockBriefly(ctx context.Context, dev string) (unlock func(), err error) {
	unlock, err = j.lock(ctx, dev, false)
	if err == nil {
		_ = os.WriteFile(j.lockPath(dev), []byte(brief), 0o600)
	}
	return unlock, err
}

// brief is in a lock that is held for a short time only, and briefTime is for how
// long that is believed.
const (
	brief     = "brief"
	briefTime = 10 * time.Second
)

// isBrief reports whether a lock is held for a short time. Its holder says so
// right after it has got it.
func isBrief(path string) bool {
	for range 2 {
		text, err := os.ReadFile(path)
		if err != nil || string(text) == brief {
			return true // it is gone already, or soon
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// lock takes the lock of the tunnel dev, or with "" the one of all, until
// unlock is called. With wait it waits for another process that has it. Where
// there can be no lock, as on a read-only file system, there is none.
func (j *journal) lock(ctx context.Context, dev string, wait bool) (unlock func(), err error) {
	path, begun := j.lockPath(dev), time.Now()
	for {
		if err := os.MkdirAll(j.dir, 0o755); err != nil {
			return func() {}, nil
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the directory went with another one's last file
		}
		if err != nil {
			return func() {}, nil
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, path) {
			_ = f.Truncate(0) // a sudden end may have left it, as brief
			return func() { j.unlock(f, dev) }, nil
		}
		f.Close()
		switch {
		case err == nil: // its holder has just removed it
		case !errors.Is(err, unix.EWOULDBLOCK):
			return func() {}, nil
		case !wait && (time.Since(begun) > briefTime || !isBrief(path)):
			return nil, errLocked
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		default:
			time.Sleep(time.Millisecond) // there is no waiting for a lock and a signal at once
		}
	}
}

// Busy implements [quick.Journal]. It doesn't try the
// lock, which could be in another one's way.
func (j *journal) Busy(dev string) bool {
	var st unix.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	return err == nil && unix.Stat(j.lockPath(dev), &st) == nil &&
		regexp.MustCompile(fmt.Sprintf(`FLOCK .*:%d `, st.Ino)).Match(locks)
}

func (j *journal) lockPath(dev string) string {
	return filepath.Join(j.dir, dev+j.suffix+".lock")
}

// unlock removes the file while it is locked, so that nobody can lock one that
// nobody else will find. What a sudden end left goes too: half a record, and
// the lock of all tunnels.
func (j *journal) unlock(f *os.File, dev string) {
	if dev != "" {
		_ = os.Remove(j.path(dev) + ".tmp")
		_ = os.Remove(j.baselinePath(dev) + ".tmp")
		if exists(j.lockPath("")) {
			if unlock, err := j.lock(context.Background(), "", false); err == nil {
				unlock()
			}
		}
	}
	_ = os.Remove(j.lockPath(dev))
	f.Close()
	_ = os.Remove(j.dir) // if it is empty
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(a, b)
}
