package main

import (
	"os"
	"runtime/pprof"
	"testing"
	"log/slog"
	"time"
)

func TestZZ(t *testing.T) {
	f, _ := os.Create("/tmp/florin/cpu.prof")
	pprof.StartCPUProfile(f)
	for range 8 {
		b := time.Now()
		config, err := loadConfig(map[string]string{"DATA_DIR": t.TempDir(), "HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0"})
		if err != nil { t.Fatal(err) }
		app, err := NewApp(t.Context(), config, Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil { t.Fatal(err) }
		t.Log(time.Since(b))
		app.Stop()
	}
	pprof.StopCPUProfile()
	f.Close()
}
