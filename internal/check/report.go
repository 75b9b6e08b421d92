// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"encoding/json"
	"fmt"
	"io"

	"wgtools/internal/config"
)

// JSONVersion is the version of the document. It goes up when a field changes
// its meaning or goes away, not when one is added (docs/json.md).
const JSONVersion = 1

// WriteText writes findings for people.
func WriteText(w io.Writer, list []Finding) error {
	var b []byte
	for _, f := range list {
		b = fmt.Appendf(b, "%v: %v: %s (%s)\n", f.Pos, f.Severity, f.Reason, f.Code)
		if f.Hint != "" {
			b = fmt.Appendf(b, "  hint: %s\n", f.Hint)
		}
		for _, pos := range f.Related {
			b = fmt.Appendf(b, "  see:  %v\n", pos)
		}
	}
	_, err := w.Write(b)
	return err
}

// Count returns how many findings are of that severity.
func Count(list []Finding, s Severity) (n int) {
	for _, f := range list {
		if f.Severity == s {
			n++
		}
	}
	return n
}

type jsonPlace struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

type jsonFinding struct {
	jsonPlace
	Severity string      `json:"severity"`
	Code     string      `json:"code"`
	Reason   string      `json:"reason"`
	Hint     *string     `json:"hint"`
	Related  []jsonPlace `json:"related"`
}

type jsonDocument struct {
	Version  int           `json:"version"`
	Files    []string      `json:"files"`
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Notes    int           `json:"notes"`
	Findings []jsonFinding `json:"findings"`
}

// WriteJSON writes findings as a document; files are those that were looked at.
func WriteJSON(w io.Writer, files []string, list []Finding) error {
	doc := jsonDocument{
		Version: JSONVersion, Files: files, Findings: []jsonFinding{},
		Errors: Count(list, Error), Warnings: Count(list, Warning), Notes: Count(list, Note),
	}
	place := func(p config.Pos) jsonPlace { return jsonPlace{p.File, p.Line, p.Col} }
	for _, f := range list {
		j := jsonFinding{jsonPlace: place(f.Pos), Severity: f.Severity.String(), Code: f.Code, Reason: f.Reason, Related: []jsonPlace{}}
		if f.Hint != "" {
			j.Hint = &f.Hint
		}
		for _, p := range f.Related {
			j.Related = append(j.Related, place(p))
		}
		doc.Findings = append(doc.Findings, j)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}
