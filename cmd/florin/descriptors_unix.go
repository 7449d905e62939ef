//go:build unix

package main

import "golang.org/x/sys/unix"

// descriptors is how many files this process may open.
func descriptors() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return uint64(limit.Cur)
}
