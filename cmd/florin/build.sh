#!/bin/sh
# Builds bin/florin, and says how far it is while it compiles. make says the first line before this starts.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p bin
status=$(mktemp)
trap 'rm -f "$status"' EXIT

# The number of packages is asked for at the first one that is compiled: where nothing is, that costs nothing.
progress() {
	began=$(date +%s) compiled=0 total=
	while IFS= read -r line; do
		case $line in
		'go: downloading '*)
			said="fetching ${line#go: downloading }"
			[ -t 1 ] || printf '  %s\n' "$said"
			;;
		'' | *[!A-Za-z0-9._/~-]*)
			[ ! -t 1 ] || printf '\r\033[K'
			printf '%s\n' "$line" >&2
			continue
			;;
		*)
			[ -n "$total" ] || total=$(go list -deps -f '{{if .Stale}}stale{{end}}' ./cmd/florin | grep -c stale) || true
			compiled=$((compiled + 1))
			[ "$total" -ge "$compiled" ] || total=$compiled
			said="compiled $compiled of $total packages, $(($(date +%s) - began)) s"
			;;
		esac
		if [ -t 1 ]; then
			printf '\r\033[K  %.70s' "$said"
		elif [ $((compiled % 50)) -eq 1 ] && [ "$said" != "${said#compiled}" ]; then
			printf '  %s\n' "$said"
		fi
	done
	[ ! -t 1 ] || printf '\r\033[K'
}

{
	code=0
	go build -v -ldflags='-s -w' -o bin/florin ./cmd/florin 2>&1 || code=$?
	echo "$code" >"$status"
} | progress
exit "$(cat "$status")"
