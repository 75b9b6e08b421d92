// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"slices"
	"strings"

	"wgtools/internal/plan"
)

// A file is the text of resolv.conf(5) with the settings of tunnels in it, each
// as a block of lines between comments at its head, the newest first:
//
//	# wg-quick wg0: begin
//	nameserver 10.0.0.1
//	search corp.example
//	# wg-quick wg0: end
//	#wg-quick# nameserver 192.168.0.1
//	options edns0
//
// The newest block is in force. Servers in what follows a block that has some
// are made comments, as are search domains: libc asks the first three servers,
// so that it would go around the tunnel as soon as those of the block don't
// answer, and of search domains it takes the last line. Below a block of search
// domains alone, servers stay.
type file struct {
	blocks []block // newest first
	rest   string  // what others wrote, as they wrote it
	made   bool    // there was no file before the oldest block
}

type block struct {
	dev   string
	lines []string // without their ends
}

// The marks. A line of others that looks like one is made a comment, too, so
// that it comes back as it was.
const (
	mark  = "# wg-quick "
	begin = ": begin"
	made  = ": begin, file made"
	end   = ": end"
	off   = "#wg-quick# "
)

// parse reads a file's text. Marks that don't make a block are others' text,
// and so is all of a text without a block.
func parse(text string) *file {
	f := &file{}
	var rest []string
	for lines := slices.Collect(strings.Lines(text)); len(lines) > 0; {
		if k, n, isMade := parseBlock(lines); n > 0 {
			f.blocks, f.made = append(f.blocks, k), f.made || isMade
			lines = lines[n:]
			continue
		}
		rest = append(rest, lines[0])
		lines = lines[1:]
	}
	if len(f.blocks) > 0 {
		for i, line := range rest {
			rest[i] = strings.TrimPrefix(line, off)
		}
	}
	f.rest = strings.Join(rest, "")
	return f
}

// parseBlock reads the block that lines begin with, and returns of how many
// lines it is: 0 if there is none.
func parseBlock(lines []string) (k block, n int, isMade bool) {
	dev, word := parseMark(lines[0])
	if word != begin && word != made {
		return k, 0, false
	}
	k.dev = dev
	for i, line := range lines[1:] {
		switch name, at := parseMark(line); {
		case at == end && name == dev:
			return k, i + 2, word == made
		case at != "":
			return k, 0, false
		}
		k.lines = append(k.lines, strings.TrimPrefix(strings.TrimRight(line, "\r\n"), off))
	}
	return k, 0, false
}

// parseMark returns the link of a mark and its word: begin, made or end, "" if
// the line isn't one.
func parseMark(line string) (dev, word string) {
	name, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), mark)
	for _, word := range []string{begin, made, end} {
		if dev, is := strings.CutSuffix(name, word); ok && is {
			return dev, word
		}
	}
	return "", ""
}

// String returns the text.
func (f *file) String() string {
	var b strings.Builder
	servers, search := false, false // there are some above
	// write writes a line, as a comment if what is above replaces it.
	write := func(line string) {
		switch keyword(line) {
		case "nameserver":
			if servers {
				b.WriteString(off)
			}
		case "search", "domain":
			if servers || search {
				b.WriteString(off)
			}
		default:
			if len(f.blocks) > 0 && (strings.HasPrefix(line, mark) || strings.HasPrefix(line, off)) {
				b.WriteString(off)
			}
		}
		b.WriteString(line)
	}
	for i, k := range f.blocks {
		word := begin
		if f.made && i == len(f.blocks)-1 {
			word = made
		}
		b.WriteString(mark + k.dev + word + "\n")
		for _, line := range k.lines {
			write(line + "\n")
		}
		b.WriteString(mark + k.dev + end + "\n")
		// Only now, since they don't replace each other.
		for _, line := range k.lines {
			servers = servers || keyword(line) == "nameserver"
			search = search || keyword(line) == "search"
		}
	}
	for line := range strings.Lines(f.rest) {
		write(line)
	}
	return b.String()
}

// keyword returns the first word of a line. Some of those who read the file
// don't mind blanks before it, though libc does.
func keyword(line string) string {
	for word := range strings.FieldsSeq(line) {
		return word
	}
	return ""
}

// set puts a link's settings into its block. A block that it has keeps its
// place among the others.
func (f *file) set(s plan.DNSSettings) {
	k := block{dev: s.Dev}
	for _, text := range s.Servers {
		if server, err := plan.ParseNameServer(text); err == nil { // check let no other port than 53 pass
			text = server.Addr().String()
		}
		k.lines = append(k.lines, "nameserver "+text)
	}
	// "~corp.example" is only for the choice of a server, which there isn't.
	domains := slices.DeleteFunc(slices.Clone(s.Search), func(d string) bool { return strings.HasPrefix(d, "~") })
	if len(domains) > 0 {
		k.lines = append(k.lines, "search "+strings.Join(domains, " "))
	}
	if i := f.find(s.Dev); i >= 0 {
		f.blocks[i] = k
		return
	}
	f.blocks = slices.Insert(f.blocks, 0, k)
}

// unset removes a link's block, and reports whether there was one.
func (f *file) unset(dev string) bool {
	there := f.find(dev) >= 0
	f.blocks = slices.DeleteFunc(f.blocks, func(k block) bool { return k.dev == dev })
	return there
}

func (f *file) find(dev string) int {
	return slices.IndexFunc(f.blocks, func(k block) bool { return k.dev == dev })
}
