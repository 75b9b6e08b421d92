// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command confs tells what wg-quick makes of other people's configuration
// files: each is stripped, brought up and taken down, by ours and by the
// original where that is installed, and what came of it is compared.
//
//	go run ./test/confs [-bin DIR] [-original PROGRAM] DIRECTORY
//
// Every run has namespaces of its own, with an uplink that leads nowhere and a
// file system that is read-only. Host names of endpoints are known there. The
// hooks of a file are never run: `true' is put in their place. The outcome is
// printed as Markdown: the counts, then a row for each file that isn't plainly
// fine. The exit status is 1 if one of ours left something behind.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

func main() {
	bin := flag.String("bin", "bin", "the `directory` of our wg and wg-quick")
	original := flag.String("original", "/usr/bin/wg-quick", "the original wg-quick, a `program`")
	inside := flag.Bool("inside", false, "for this program's own use: run one file in these namespaces")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	var err error
	if *inside {
		err = json.NewEncoder(os.Stdout).Encode(try(*bin, *original, flag.Arg(0)))
	} else {
		err = survey(*bin, *original, flag.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "confs:", err)
		os.Exit(1)
	}
}

// survey runs all files of a directory and prints what came of them.
func survey(bin, original, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no *.conf in %s", dir)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("namespaces need root")
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if _, err := exec.LookPath(original); err != nil {
		fmt.Fprintln(os.Stderr, "confs: without the original to compare with:", err)
		original = ""
	}
	verdicts := make([]verdict, len(files))
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	turns := make(chan struct{}, 2*runtime.NumCPU()) // mostly they wait for the kernel
	for i, file := range files {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			verdicts[i], errs[i] = judge(bin, original, file)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return report(os.Stdout, verdicts, original != "")
}

// judge runs a file with both programs, each in namespaces of its own.
func judge(bin, original, file string) (verdict, error) {
	ours, err := isolated("-bin", bin, "-original", "", file)
	if err != nil || original == "" {
		return verdict{file: filepath.Base(file), ours: ours}, err
	}
	theirs, err := isolated("-bin", bin, "-original", original, file)
	return compare(filepath.Base(file), ours, theirs), err
}

// isolated runs this program in namespaces of its own, as their first process:
// with it end all that it started.
func isolated(args ...string) (o outcome, err error) {
	cmd := exec.Command("/proc/self/exe", append([]string{"-inside"}, args...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	out, err := cmd.Output()
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(out, &o); err != nil {
		return o, err
	}
	if o.Fault != "" {
		return o, fmt.Errorf("%s", o.Fault)
	}
	return o, nil
}
