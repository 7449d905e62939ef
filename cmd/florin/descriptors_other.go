//go:build !unix

package main

// descriptors is how many files this process may open, where nobody says: few.
func descriptors() uint64 { return 1024 }
