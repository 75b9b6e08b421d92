// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command summary runs "go test -json" and says in a few lines what came of
// it: the output of tests that failed, the packages with their times, which
// tests were skipped and why, and last the counts.
//
//	summary [-out FILE] [-skipped FILE] -- go test -json ./...
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
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

type test struct{ pkg, name string }

func main() {
	out := flag.String("out", "", "also write the counts to `file`")
	skippedFile := flag.String("skipped", "", "also write what was skipped to `file`")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	cmd := exec.Command(flag.Arg(0), flag.Args()[1:]...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	output := map[test][]string{}
	var passed, failed int
	var skipped []string
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // what the build says
			continue
		}
		key := test{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
		case "output":
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			if e.Test == "" {
				if e.Action != "skip" {
					fmt.Printf("%-4s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
				}
				if e.Action == "fail" {
					fmt.Print(strings.Join(output[key], ""))
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "skip":
				skipped = append(skipped, fmt.Sprintf("skipped %s %s: %s", e.Package, e.Test, reason(output[key])))
			case "fail":
				failed++
				fmt.Printf("--- FAIL %s %s\n%s", e.Package, e.Test, strings.Join(output[key], ""))
			}
			delete(output, key)
		}
	}
	err = cmd.Wait()
	slices.Sort(skipped)
	list := strings.Join(skipped, "\n")
	if list != "" {
		list += "\n"
	}
	counts := fmt.Sprintf("%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	fmt.Print(list, counts)
	for path, text := range map[string]string{*out: counts, *skippedFile: list} {
		if path == "" {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "summary:", err)
			os.Exit(1)
		}
	}
	if err != nil || failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

// reason returns what a test said when it was skipped.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}
