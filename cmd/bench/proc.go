package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux counts a process's time, whatever the machine.
const tick = 10 * time.Millisecond

// stat is what /proc/<pid>/stat tells of a process.
type stat struct {
	parent   int
	own      time.Duration // of processor, user and system
	children time.Duration // of those that have ended and were waited for
}

// readStat fails on systems without /proc.
func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name in the second field may hold anything, parentheses and blanks included.
	end := bytes.LastIndexByte(content, ')')
	fields := strings.Fields(string(content[end+1:]))
	if end < 0 || len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	var numbers [15]int64
	for i := 1; i < len(numbers); i++ { // the first is the state
		if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return stat{}, err
		}
	}
	return stat{
		parent:   int(numbers[1]),
		own:      time.Duration(numbers[11]+numbers[12]) * tick,
		children: time.Duration(numbers[13]+numbers[14]) * tick,
	}, nil
}

// cpuOfTree is the processor time of a process, of its children, and of the children that have ended. Of a PostgreSQL server
// that is all there is.
func cpuOfTree(pid int) (time.Duration, error) {
	root, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	sum := root.own + root.children
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		// One that has ended since the list was made is counted with its parent the next time.
		if s, err := readStat(child); err == nil && s.parent == pid {
			sum += s.own
		}
	}
	return sum, nil
}

// memory is what a process has resident now, and had at the most, in KiB.
func memory(pid int) (residentKiB, peakKiB int64, err error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(content)) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*int64{"VmRSS": &residentKiB, "VmHWM": &peakKiB}[name]
		if into == nil {
			continue
		}
		if *into, err = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return residentKiB, peakKiB, nil
}

// postmaster is the process of the PostgreSQL server with this data folder.
func postmaster(dataFolder string) (int, error) {
	content, err := os.ReadFile(filepath.Join(dataFolder, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	return strconv.Atoi(first)
}

// fsyncTime is the median of how long it takes to append a block of 8 KiB to a file of the folder and have it on the disk: what
// a commit costs at the least there.
func fsyncTime(folder string) (time.Duration, error) {
	file, err := os.CreateTemp(folder, "fsync")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 8192)
	var h histogram
	for range 200 {
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := file.Sync(); err != nil {
			return 0, err
		}
		h.record(time.Since(began))
	}
	return h.quantile(500), nil
}
