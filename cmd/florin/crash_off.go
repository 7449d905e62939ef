//go:build !crashpoint

package main

// testOptions changes nothing in this build.
func testOptions(_ map[string]string, o Options) (Options, error) { return o, nil }
