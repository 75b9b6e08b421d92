// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package probe

import "slices"

// rungs is how many sizes are tried at once, and tries how often a size may
// stay unanswered before it counts as one that doesn't come through.
const rungs, tries = 16, 2

// Largest returns the largest size, of those from small, which comes through,
// to full, that ask reports as answered. ask sends one packet of each size and
// returns those that came back. A size that is lost twice is too large.
func Largest(small, full int, ask func(sizes []int) ([]int, error)) (int, error) {
	through, lost := small, full+1
	sizes := []int{full}
	for lost-through > 1 {
		open := sizes
		for range tries {
			answered, err := ask(open)
			if err != nil {
				return 0, err
			}
			open = slices.DeleteFunc(slices.Clone(open), func(n int) bool { return slices.Contains(answered, n) })
			if len(open) == 0 {
				break
			}
		}
		for _, n := range sizes {
			if !slices.Contains(open, n) {
				through = max(through, n)
			}
		}
		for _, n := range open {
			if n > through {
				lost = min(lost, n)
			}
		}
		sizes = ladder(through, lost)
	}
	return through, nil
}

// ladder returns sizes between two, evenly spread.
func ladder(low, high int) (sizes []int) {
	between := high - low - 1
	n := min(rungs, between)
	for i := range n {
		sizes = append(sizes, low+1+i*between/n)
	}
	return sizes
}
