package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// bom is the part of CycloneDX 1.6 that we write: https://cyclonedx.org/docs/1.6/json/.
type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	// Timestamp is that of the commit, so that one commit gives one document.
	Timestamp string    `json:"timestamp,omitempty"`
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []license  `json:"licenses,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

// writeBOM writes what the linker put into the binary: neither more, as go.mod has it, nor less.
func writeBOM(binary, path string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	sum, err := sumOf(binary)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(describe(info, sum), "", "  ")
	if err != nil {
		return fmt.Errorf("encode parts: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func sumOf(path string) ([sha256.Size]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("read binary: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

func describe(info *debug.BuildInfo, sum [sha256.Size]byte) bom {
	program := module("application", info.Main.Path, info.Main.Version, "")
	program.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	program.Licenses = make([]license, 1)
	program.Licenses[0].License.ID = "Apache-2.0"
	document := bom{
		Schema:       "http://cyclonedx.org/schema/bom-1.6.schema.json",
		Format:       "CycloneDX",
		SpecVersion:  "1.6",
		Version:      1,
		SerialNumber: serialOf(sum),
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.time":
			document.Metadata.Timestamp = setting.Value
		case "GOOS", "GOARCH", "CGO_ENABLED", "-trimpath", "-tags", "vcs.revision", "vcs.modified":
			program.Properties = append(
				program.Properties,
				property{"florin:build:" + setting.Key, setting.Value},
			)
		}
	}
	document.Metadata.Component = program
	all := dependency{Ref: program.Ref}
	add := func(c component) {
		document.Components = append(document.Components, c)
		document.Dependencies = append(document.Dependencies, dependency{Ref: c.Ref})
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	add(module("library", "std", strings.TrimPrefix(info.GoVersion, "go"), ""))
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		add(module("library", dep.Path, dep.Version, dep.Sum))
	}
	document.Dependencies = append(document.Dependencies, all)
	return document
}

func module(kind, path, version, sum string) component {
	if version == "(devel)" { // built from a work tree; the commit is among the properties
		version = ""
	}
	purl := "pkg:golang/" + path
	if version != "" {
		purl += "@" + strings.ReplaceAll(version, "+", "%2B")
	}
	c := component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
	// The sum of go.sum: SHA-256 over the list of the module's files and their sums.
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil &&
		len(raw) == sha256.Size {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
	}
	return c
}

// serialOf makes a UUID (version 8, RFC 9562) of the binary's sum: one binary, one document.
func serialOf(sum [sha256.Size]byte) string {
	u := sum[:16]
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
