package database

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// errLogDamaged is a write-ahead log in which commits that were acknowledged cannot be read any more. SQLite itself would take
// the last good commit before the damage for the newest one, and so lose what came after without a word.
var errLogDamaged = errors.New("the write-ahead log beside the file is damaged: commits behind the damage would be lost. Restore a backup, or move the log away to go on without them")

// Sizes in the format of the log, as https://www.sqlite.org/fileformat2.html#walformat describes it.
const (
	walHeaderSize = 32
	walFrameSize  = 24
	maxPageSize   = 1 << 16
)

// checkLog refuses a log that is damaged before its end. A commit is one fsync, so a crash can tear the last commit only: a frame
// that cannot be read, with more than one commit behind it, is no torn end.
func checkLog(path string) error {
	for {
		header, commits, err := readLog(path + "-wal")
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || commits <= 1 {
			return err
		}
		// A server that runs may have begun the log anew while it was read. Then it has another header by now.
		if again, err := readStart(path+"-wal", walHeaderSize); err != nil || bytes.Equal(again, header) {
			return errors.Join(errLogDamaged, err)
		}
	}
}

// readLog counts the commits of the log's present generation that come after the first frame that cannot be read.
func readLog(path string) (header []byte, commits int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	log := bufio.NewReaderSize(file, 1<<16)
	header = make([]byte, walHeaderSize)
	if whole, err := readWhole(log, header); !whole {
		return header, 0, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if header[3]&1 == 1 {
		order = binary.BigEndian
	}
	sum := walSum{order: order}
	sum.add(header[:24])
	damaged := !sum.is(header[24:])
	pageSize := binary.BigEndian.Uint32(header[8:])
	if pageSize > maxPageSize {
		return header, 0, nil // no log of SQLite's
	}
	frame := make([]byte, walFrameSize+int(pageSize))
	for {
		whole, err := readWhole(log, frame)
		if !whole {
			return header, commits, err
		}
		if !bytes.Equal(frame[8:16], header[16:24]) {
			// Of an older generation: the end, unless what follows is of this one again.
			damaged = true
			continue
		}
		sum.add(frame[:8])
		sum.add(frame[walFrameSize:])
		damaged = damaged || !sum.is(frame[16:24])
		if damaged && binary.BigEndian.Uint32(frame[4:]) != 0 {
			commits++
		}
	}
}

// readWhole fills the buffer, and answers false where the file ends before.
func readWhole(log io.Reader, buffer []byte) (bool, error) {
	_, err := io.ReadFull(log, buffer)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return err == nil, err
}

// walSum is the running checksum of the log.
type walSum struct {
	order  binary.ByteOrder
	s0, s1 uint32
}

func (w *walSum) add(data []byte) {
	for i := 0; i+8 <= len(data); i += 8 {
		w.s0 += w.order.Uint32(data[i:]) + w.s1
		w.s1 += w.order.Uint32(data[i+4:]) + w.s0
	}
}

func (w *walSum) is(stored []byte) bool {
	return w.s0 == binary.BigEndian.Uint32(stored) && w.s1 == binary.BigEndian.Uint32(stored[4:])
}

// readStart reads the first bytes of a file, fewer where it is shorter.
func readStart(path string, size int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	start := make([]byte, size)
	n, err := file.ReadAt(start, 0)
	if n > 0 {
		err = nil
	}
	return start[:n], err
}
