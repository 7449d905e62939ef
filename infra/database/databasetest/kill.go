//go:build unix

package databasetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// deadWithin is how long the processes of a killed server may take to be gone.
const deadWithin = 10 * time.Second

// Kill ends every process of the server by SIGKILL, as the kernel does when memory runs out: nothing is flushed, and no session
// is told. It returns once they are gone. Linux alone: it looks for them below /proc.
func (s *Server) Kill() error {
	content, err := os.ReadFile(filepath.Join(s.Folder, "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	parent, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	// Stopped, so that it starts no other while its children are counted.
	if err := syscall.Kill(parent, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	children, err := childrenOf(parent)
	if err != nil {
		return fmt.Errorf("kill postgres: %w", errors.Join(err, syscall.Kill(parent, syscall.SIGCONT)))
	}
	all := append([]int{parent}, children...)
	for _, pid := range all {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill postgres: %w", err)
		}
	}
	deadline := time.NewTimer(deadWithin)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for _, pid := range all {
		for alive(pid) {
			select {
			case <-deadline.C:
				return fmt.Errorf("kill postgres: process %d is still there", pid)
			case <-again.C:
			}
		}
	}
	return nil
}

// Restart starts the server again after Kill, on the same folder and port, and returns once it takes connections, recovery
// included.
func (s *Server) Restart(ctx context.Context) error {
	if _, err := io.WriteString(s.alive, "again\n"); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	if err := s.awaitAnswer(ctx); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	return nil
}

// childrenOf is the processes whose parent this one is.
func childrenOf(parent int) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("there is no /proc on this system")
	}
	var children []int
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if fields := statOf(pid); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			children = append(children, pid)
		}
	}
	return children, nil
}

// alive says that the process is there and no zombie.
func alive(pid int) bool {
	fields := statOf(pid)
	return len(fields) > 0 && fields[0] != "Z"
}

// statOf is what the kernel says of a process, from its state on; none for one that is gone.
func statOf(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
}
