// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"time"

	"wgtools/internal/keys"
	"wgtools/internal/routing"
)

// JSONVersion is the version of both documents. It goes up when a field changes
// its meaning or goes away, not when one is added (docs/json.md).
const JSONVersion = 1

// A Report is the document of `wg-quick doctor --json'. What there isn't is
// null.
type Report struct {
	Version  int             `json:"version"`
	Time     string          `json:"time"`
	TimeUnix int64           `json:"time_unix"`
	Problems int             `json:"problems"`
	Warnings int             `json:"warnings"`
	Unknown  int             `json:"unknown"`
	Findings []ReportFinding `json:"findings"`
}

// A ReportFinding is a [Finding] in the document.
type ReportFinding struct {
	Severity  Severity `json:"severity"`
	Check     string   `json:"check"`
	Code      *string  `json:"code"`
	Interface *string  `json:"interface"`
	Peer      *string  `json:"peer"`
	What      string   `json:"what"`
	Why       *string  `json:"why"`
	Mend      []string `json:"mend"`
}

// NewReport returns the document of findings.
func NewReport(now time.Time, list []Finding) *Report {
	r := &Report{
		Version: JSONVersion, Time: now.UTC().Format(time.RFC3339), TimeUnix: now.Unix(),
		Problems: Count(list, Problem), Warnings: Count(list, Warning), Unknown: Count(list, Unknown), Findings: []ReportFinding{},
	}
	for _, f := range list {
		r.Findings = append(r.Findings, ReportFinding{
			Severity: f.Severity, Check: f.Check, Code: text(f.Code), Interface: text(f.Dev), Peer: keyText(f.Peer),
			What: f.What, Why: text(f.Why), Mend: append([]string{}, f.Mend...),
		})
	}
	return r
}

// A RouteReport is the document of `wg-quick route --json'.
type RouteReport struct {
	Version   int        `json:"version"`
	Interface string     `json:"interface"`
	Address   string     `json:"address"`
	Through   bool       `json:"through"` // the tunnel
	Arrives   bool       `json:"arrives"` // at a peer's endpoint, as far as this host can tell
	Result    string     `json:"result"`
	Way       *WayReport `json:"way"`
	Peer      *string    `json:"peer"`
	PeerName  *string    `json:"peer_name"`
	Allowed   *string    `json:"allowed_ips"`
	Endpoint  *string    `json:"endpoint"`
	Fwmark    *uint32    `json:"fwmark"`
	Uplink    *WayReport `json:"uplink"`
	MTU       *int       `json:"mtu"`
}

// A WayReport is a [routing.Way] in the document.
type WayReport struct {
	Rule    *string `json:"rule"`
	Table   *string `json:"table"`
	Route   *string `json:"route"`
	Kind    *string `json:"kind"`
	Device  *string `json:"device"`
	Gateway *string `json:"gateway"`
	Source  *string `json:"source"`
	MTU     *int    `json:"mtu"`
	Refusal *string `json:"refusal"`
}

// Report returns the document of a trace.
func (t *Trace) Report() *RouteReport {
	largest, _ := t.MTU()
	r := &RouteReport{
		Version: JSONVersion, Interface: t.Dev, Address: t.To.String(), Through: t.In(), Arrives: t.Arrives(), Result: t.Result(),
		Way: wayReport(t.Inner), MTU: number(largest),
	}
	if !t.In() {
		return r
	}
	if t.Mark != 0 {
		r.Fwmark = &t.Mark
	}
	if t.Found {
		r.Peer, r.PeerName, r.Allowed = keyText(t.Key), text(t.Name), text(t.Allowed.String())
		if t.Endpoint.IsValid() {
			r.Endpoint = text(t.Endpoint.String())
		}
	}
	if t.Outer != nil {
		r.Uplink = wayReport(t.Outer)
	}
	return r
}

func wayReport(w *routing.Way) *WayReport {
	r := &WayReport{Rule: text(w.Rule.Text), Kind: text(w.Kind), Device: text(w.Dev), MTU: number(w.MTU), Refusal: text(w.Refusal)}
	if w.Table != 0 {
		r.Table = text(routing.TableName(w.Table))
	}
	if w.Route.IsValid() {
		r.Route = text(w.Route.String())
	}
	if w.Gateway.IsValid() {
		r.Gateway = text(w.Gateway.String())
	}
	if w.Source.IsValid() {
		r.Source = text(w.Source.String())
	}
	return r
}

// text is null for an empty one.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func number(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func keyText(k keys.Key) *string {
	if k.IsZero() {
		return nil
	}
	return text(k.Base64())
}
