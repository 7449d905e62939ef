package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/docs"
	"florin/infra/database"
	"florin/infra/database/databasetest"
)

// TestF144_OneWalk: README, the start and the front page show one walk, and it walks.
func TestF144_OneWalk(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	assert.Contains(
		t,
		string(readme),
		"<!-- walk:begin -->\n```sh\n"+docs.Walk+"```\n<!-- walk:end -->\n",
	)
	assert.True(t, strings.HasPrefix(docs.Walk, docs.WalkURL))
	app := startApp(t, nil)
	var said bytes.Buffer
	p := &program{stdout: &said}
	require.NoError(t, p.welcome(app))
	here := strings.Replace(docs.Walk, docs.WalkURL, "url="+app.PublicURL()+"\n", 1)
	unindented := regexp.MustCompile(`(?m)^  `).ReplaceAllString(said.String(), "")
	assert.Contains(t, unindented, here)
	shell := exec.CommandContext(t.Context(), "sh", "-c", here)
	output, err := shell.CombinedOutput()
	require.NoError(t, err, string(output))
	assert.True(
		t,
		strings.HasSuffix(
			string(output),
			"\"status\":\"completed\"\n\"posted\":\"25.00\",\"held\":\"0.00\",\"available\":\"25.00\"\n",
		),
		string(output),
	)
}

// TestF144_AdministratorsPassword: it is kept for its owner alone, and can be drawn again beside a
// running server.
func TestF144_AdministratorsPassword(t *testing.T) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		t.Run(
			string(dialect),
			func(t *testing.T) { testAdministratorsPassword(t, databasetest.URL(t, dialect)) },
		)
	}
}

func testAdministratorsPassword(t *testing.T, url string) {
	environ := settings(t, map[string]string{"DATABASE_URL": url, "ADMIN_PASSWORD": ""})
	app := startApp(t, environ)
	<-app.adminReady
	path := passwordFile(app.Config.DataDir)
	until(t, "the password is kept", func() bool { _, err := os.Stat(path); return err == nil })
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "admin "+app.adminMade.Generated+"\n", string(kept))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())

	admin := newDemoClient(app.PublicURL())
	defer admin.http.CloseIdleConnections()
	login := func(password string) error {
		return admin.post(
			t.Context(),
			"/auth/login",
			object{"identity": "admin", "password": password},
			&object{},
		)
	}
	require.NoError(t, login(app.adminMade.Generated))
	code, stdout, stderr := command(t, environ, "operators", "reset", "--json")
	require.Zero(t, code, stderr)
	drawn := decoded[map[string]string](t, stdout)["password"]
	require.GreaterOrEqual(t, len(drawn), 20)
	require.Error(t, login(app.adminMade.Generated))
	require.NoError(t, login(drawn))
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist, "the old password is good for nothing")
	var acts int64
	require.NoError(
		t,
		app.DB.Writer().
			Raw("SELECT count(*) FROM audit WHERE action = 'admin.password_reset'").
			Scan(&acts).
			Error,
	)
	assert.EqualValues(t, 1, acts)

	person(t, app, "grace")
	code, stdout, stderr = command(t, environ, "operators", "reset", "grace")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, `no administrator is called "grace"`)
}

// fakeGo stands in for the compiler.
const fakeGo = `#!/bin/sh
case $1 in
env) ;;
list) printf 'stale\n\nstale\n' ;;
build)
	echo 'go: downloading example.com/module v1.0.0'
	echo runtime
	echo example.com/module
	[ "$FAULT" = 0 ] || printf '# florin/cmd/florin\ncmd/florin/main.go:1:1: broken\n'
	exit "$FAULT"
	;;
esac
`

func withFakeGo(t *testing.T, fault, name string, arguments ...string) *exec.Cmd {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "go"), []byte(fakeGo), 0o700))
	c := exec.CommandContext(t.Context(), name, arguments...)
	c.Dir = root
	// A make inside of a make test would begin with where it is.
	c.Env = slices.DeleteFunc(
		os.Environ(),
		func(kv string) bool { return strings.HasPrefix(kv, "MAKE") || strings.HasPrefix(kv, "MFLAGS") },
	)
	c.Env = append(c.Env, "PATH="+folder+":"+os.Getenv("PATH"), "FAULT="+fault)
	return c
}

// TestF145_BuildTellsHowFarItIs, what is wrong, and whether it worked.
func TestF145_BuildTellsHowFarItIs(t *testing.T) {
	var out, problems bytes.Buffer
	c := withFakeGo(t, "0", "sh", "cmd/florin/build.sh")
	c.Stdout, c.Stderr = &out, &problems
	require.NoError(t, c.Run(), problems.String())
	assert.Contains(t, out.String(), "fetching example.com/module v1.0.0")
	assert.Contains(t, out.String(), "compiled 1 of 2 packages, ")
	assert.Empty(t, problems.String())

	c = withFakeGo(t, "3", "sh", "cmd/florin/build.sh")
	c.Stdout, c.Stderr = &out, &problems
	var exit *exec.ExitError
	require.ErrorAs(t, c.Run(), &exit)
	assert.Equal(t, 3, exit.ExitCode())
	assert.Equal(t, "# florin/cmd/florin\ncmd/florin/main.go:1:1: broken\n", problems.String())
}

// TestF145_RunSpeaksAtOnce: the first line does not wait for any compiler, and says how long it
// takes.
func TestF145_RunSpeaksAtOnce(t *testing.T) {
	c := withFakeGo(t, "1", "make", "run")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, c.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	assert.Less(t, time.Since(began), 5*time.Second) // a second, where the machine is quiet
	assert.Contains(t, lines.Text(), "about 100 s on two cores")
	for lines.Scan() {
	}
	require.Error(t, c.Wait(), "what did not compile is not run")
}

// TestF145_OneSetOfFlags: whatever make compiles, it compiles alike, so that nothing is compiled
// twice.
func TestF145_OneSetOfFlags(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	assert.Contains(
		t,
		string(makefile),
		"\nexport GOFLAGS := $(shell go env GOFLAGS 2>/dev/null) -trimpath\n",
	)
	assert.Equal(t, 1, strings.Count(string(makefile), "-trimpath"))
	for _, flag := range []string{"-gcflags", "-asmflags", "-mod="} {
		assert.NotContains(t, string(makefile), flag)
	}
}
