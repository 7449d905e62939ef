//go:build race

package main

// underRace is for what is measured: the race detector takes several times as long.
const underRace = true
