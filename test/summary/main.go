// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command summary runs a command that prints events like "go test -json" and
// says in a few lines what came of it: the output of tests that failed, the
// packages with their times, which tests were skipped and why, and last the
// counts.
//
//	summary [-tally FILE] -- go test -json ./...
//	summary -tally FILE
//
// The tally collects several runs; without a command they are summed up. A
// test that one run skipped and another passed has passed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// An event is a line of "go test -json" (go doc test2json).
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// A verdict is what became of a test: "skip", "pass" or "fail".
type verdict struct {
	Action string
	Reason string `json:",omitempty"` // why it was skipped
}

// A tally has the verdicts by package and test. A package that failed, none of
// its tests did, is an entry of its own.
type tally map[string]verdict

func (t tally) add(name string, v verdict) {
	order := []string{"", "skip", "pass", "fail"}
	if slices.Index(order, v.Action) >= slices.Index(order, t[name].Action) {
		t[name] = v
	}
}

// print lists what was skipped, and the counts.
func (t tally) print(w io.Writer) (ok bool) {
	count := map[string]int{}
	var skipped []string
	for name, v := range t {
		count[v.Action]++
		if v.Action == "skip" {
			skipped = append(skipped, fmt.Sprintf("skipped %s: %s\n", name, v.Reason))
		}
	}
	slices.Sort(skipped)
	fmt.Fprint(w, strings.Join(skipped, ""))
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skip"])
	return count["fail"] == 0 && count["pass"] > 0
}

// read takes the events of a run, and prints what is worth it.
func (t tally) read(r io.Reader, w io.Writer) error {
	output := map[string][]string{}
	failed := map[string]bool{} // packages with a test that failed
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil {
				t.event(&e, output, failed, w)
			} else {
				w.Write(line) // what the build says
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t tally) event(e *event, output map[string][]string, failed map[string]bool, w io.Writer) {
	name := strings.TrimSpace(e.Package + " " + e.Test)
	switch e.Action {
	case "build-output":
		fmt.Fprint(w, e.Output)
	case "output":
		output[name] = append(output[name], e.Output)
	case "pass", "fail", "skip":
		said := output[name]
		delete(output, name)
		if e.Test != "" {
			t.add(name, verdict{e.Action, reason(e.Action, said)})
			if e.Action == "fail" {
				failed[e.Package] = true
				fmt.Fprintf(w, "--- FAIL %s\n%s", name, strings.Join(said, ""))
			}
			return
		}
		if e.Action != "skip" { // a package without tests
			fmt.Fprintf(w, "%-4s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
		}
		if e.Action == "fail" {
			fmt.Fprint(w, strings.Join(said, ""))
			if !failed[e.Package] {
				t.add(name, verdict{Action: "fail"})
			}
		}
	}
}

// reason returns what a test said when it was skipped.
func reason(action string, output []string) string {
	if action != "skip" {
		return ""
	}
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}

func main() {
	file := flag.String("tally", "", "collect the verdicts of several runs in `file`")
	flag.Parse()
	if *file == "" && flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := run(*file, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(file string, command []string) (ok bool, err error) {
	all, err := load(file)
	if err != nil {
		return false, err
	}
	if len(command) == 0 {
		return all.print(os.Stdout), nil
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	now := tally{}
	err = errors.Join(now.read(pipe, os.Stdout), cmd.Wait())
	blamed := false
	for name, v := range now {
		all.add(name, v)
		blamed = blamed || v.Action == "fail"
	}
	if err != nil && !blamed {
		now.add(strings.Join(command, " "), verdict{Action: "fail"})
		all.add(strings.Join(command, " "), verdict{Action: "fail"})
	}
	ok = now.print(os.Stdout)
	return ok, errors.Join(err, all.save(file))
}

func load(file string) (tally, error) {
	t := tally{}
	b, err := os.ReadFile(file)
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	return t, json.Unmarshal(b, &t)
}

func (t tally) save(file string) error {
	if file == "" {
		return nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}
