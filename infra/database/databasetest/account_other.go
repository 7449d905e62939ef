//go:build !unix

package databasetest

import (
	"errors"
	"syscall"
)

// serverAccount has no answer where there is no /bin/sh to supervise the server.
func serverAccount(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("no throwaway PostgreSQL on this system: set " + EnvURL)
}
