package crashpoint

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryPointHasItsOwnName(t *testing.T) {
	sorted := slices.Sorted(slices.Values(All))
	assert.Equal(t, sorted, slices.Compact(slices.Clone(sorted)))
	assert.Len(t, All, 7+6+8+3+3+3+3+2+2, "the points of faults.md, section 2")
}

func TestSettingIsRefusedUnlessItNamesAPoint(t *testing.T) {
	for _, c := range []struct {
		setting, name string
		nth           int64
	}{{"c1", "c1", 1}, {"w7:12", "w7", 12}} {
		name, nth, err := parse(c.setting)
		require.NoError(t, err, c.setting)
		assert.Equal(t, c.name, name)
		assert.Equal(t, c.nth, nth)
	}
	for _, setting := range []string{"c9", "C1", "c1:", "c1:0", "c1:-1", "c1:x", ":1"} {
		_, _, err := parse(setting)
		assert.Error(t, err, setting)
	}
}

func TestHitInAProcessOfItsOwn(t *testing.T) {
	tagged, plain := build(t, "-tags=crashpoint"), build(t)
	const all = "passed c1\npassed c2\npassed c1\n"
	for _, c := range []struct {
		name, program, setting, output string
		killed                         bool
		code                           int
	}{
		{"first hit", tagged, "c1", "", true, -1},
		{"second hit", tagged, "c1:2", "passed c1\npassed c2\n", true, -1},
		{"never hit", tagged, "c1:3", all, false, 0},
		{"nothing chosen", tagged, "", all, false, 0},
		{"no such point", tagged, "c99", "", false, 2},
		{"build without the tag", plain, "c1", all, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var output bytes.Buffer
			command := exec.CommandContext(t.Context(), c.program)
			command.Env = append(os.Environ(), EnvName+"="+c.setting)
			command.Stdout = &output
			err := command.Run()
			var exit *exec.ExitError
			if err != nil {
				require.True(t, errors.As(err, &exit), "%v", err)
			}
			assert.Equal(t, c.output, output.String())
			assert.Equal(t, c.code, command.ProcessState.ExitCode())
			if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok {
				assert.Equal(t, c.killed, status.Signaled() && status.Signal() == syscall.SIGKILL)
			}
		})
	}
}

func build(t *testing.T, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hits")
	arguments := append(append([]string{"build"}, flags...), "-o", program, "./testdata/hits")
	command := exec.CommandContext(t.Context(), "go", arguments...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return program
}
