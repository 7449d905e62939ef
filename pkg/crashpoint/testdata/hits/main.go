// Command hits passes three points and says so after each.
package main

import (
	"fmt"

	"florin/pkg/crashpoint"
)

func main() {
	for _, name := range []string{crashpoint.RequestParsed, crashpoint.KeyInserted, crashpoint.RequestParsed} {
		crashpoint.Hit(name)
		fmt.Println("passed", name)
	}
}
