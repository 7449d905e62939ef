package bank

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// maxLine bounds one line of the ledger file; a record is a payment with its metadata and two webhooks.
const maxLine = 1 << 20

var errLedgerClosed = errors.New("ledger is closed")

// ledger is the append-only file of the bank: one record a line. One goroutine writes: it takes all the lines
// that wait, writes them at once and syncs once, so that a hundred payments share one fsync.
//
// A failed write or sync is final: what is on disk is no longer known, so every later append is refused with
// the same error until the file is opened again and read.
type ledger struct {
	file *os.File
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	next    *batch // collects the lines that the writer has not taken
	last    *batch // the newest batch that a reader must wait for
	end     int64  // where the next line begins
	failure error
	closing bool
}

// place is where a line stands in the file, without its line feed.
type place struct {
	offset int64
	length int
}

// batch is the lines that reach the disk together. err is read after done is closed.
type batch struct {
	lines []byte
	sync  bool
	done  chan struct{}
	err   error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// openLedger opens or creates the file and hands each line to apply, in order. A last line that a kill cut
// short is dropped from the file: nobody was told that it was there. A bad line before the last is damage and
// an error.
func openLedger(path string, apply func(line []byte, at place) error) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open bank ledger: %w", err)
	}
	size, err := replay(file, apply)
	if err == nil {
		err = settleEnd(file, size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	l := &ledger{
		file: file,
		wake: make(chan struct{}, 1),
		done: make(chan struct{}),
		next: newBatch(),
		end:  size,
	}
	go l.write()
	return l, nil
}

// replay applies every whole line and returns the offset behind the last good one.
func replay(file *os.File, apply func(line []byte, at place) error) (int64, error) {
	reader := bufio.NewReaderSize(file, maxLine)
	var offset int64
	for {
		line, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read bank ledger at byte %d: %w", offset, err)
		}
		if err := apply(bytes.TrimSuffix(line, []byte{'\n'}), place{offset, len(line) - 1}); err != nil {
			if _, peekErr := reader.Peek(1); errors.Is(peekErr, io.EOF) && errors.Is(err, errTornLine) {
				return offset, nil
			}
			return 0, fmt.Errorf("read bank ledger at byte %d: %w", offset, err)
		}
		offset += int64(len(line))
	}
}

// settleEnd cuts a torn line off and makes the file and its name durable.
func settleEnd(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("truncate bank ledger: %w", err)
	}
	if _, err := file.Seek(size, io.SeekStart); err != nil {
		return fmt.Errorf("seek bank ledger: %w", err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync bank ledger: %w", err)
	}
	folder, err := os.Open(filepath.Dir(file.Name()))
	if err != nil {
		return fmt.Errorf("open folder of bank ledger: %w", err)
	}
	syncErr := folder.Sync()
	if err := errors.Join(syncErr, folder.Close()); err != nil {
		return fmt.Errorf("sync folder of bank ledger: %w", err)
	}
	return nil
}

// append queues a line and returns at once where it will stand; the order of calls is the order in the file. A line that is not
// durable is written without a sync of its own: it survives a kill of the process, not a loss of power.
func (l *ledger) append(line []byte, durable bool) (place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		return place{}, l.failure
	}
	if l.closing {
		return place{}, errLedgerClosed
	}
	at := place{l.end, len(line)}
	l.end += int64(len(line)) + 1
	l.next.lines = append(append(l.next.lines, line...), '\n')
	if durable {
		l.next.sync = true
		l.last = l.next
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return at, nil
}

// read returns a line that was appended as durable, and blocks until it is.
func (l *ledger) read(at place) ([]byte, error) {
	if err := l.durable(); err != nil {
		return nil, err
	}
	line := make([]byte, at.length)
	if _, err := l.file.ReadAt(line, at.offset); err != nil {
		return nil, fmt.Errorf("read bank ledger at byte %d: %w", at.offset, err)
	}
	return line, nil
}

// durable blocks until every durable line appended so far is on disk.
func (l *ledger) durable() error {
	l.mu.Lock()
	last, failure := l.last, l.failure
	l.mu.Unlock()
	if failure != nil {
		return failure
	}
	if last == nil {
		return nil
	}
	<-last.done
	return last.err
}

func (l *ledger) write() {
	defer close(l.done)
	for {
		<-l.wake
		l.mu.Lock()
		taken, closing := l.next, l.closing
		l.next = newBatch()
		l.mu.Unlock()

		taken.err = l.flush(taken)
		if taken.err != nil {
			l.mu.Lock()
			l.failure = taken.err
			l.mu.Unlock()
		}
		close(taken.done)
		if closing {
			return
		}
	}
}

func (l *ledger) flush(taken *batch) error {
	l.mu.Lock()
	failure := l.failure
	l.mu.Unlock()
	if failure != nil {
		return failure
	}
	if len(taken.lines) > 0 {
		if _, err := l.file.Write(taken.lines); err != nil {
			return fmt.Errorf("write bank ledger: %w", err)
		}
	}
	if taken.sync {
		if err := l.file.Sync(); err != nil {
			return fmt.Errorf("sync bank ledger: %w", err)
		}
	}
	return nil
}

// close writes what waits, ends the writer and closes the file. A second call does nothing.
func (l *ledger) close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.closing = true
	l.next.sync = true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-l.done
	l.mu.Lock()
	failure := l.failure
	l.mu.Unlock()
	return errors.Join(failure, l.file.Close())
}
