// Answers every job with its input; one static binary with CGO_ENABLED=0 go build echo.go
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type job struct {
	ID    string          `json:"id"`
	Input json.RawMessage `json:"input"`
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout) // ends each with a line feed
	answers.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return // no more jobs
		}
		var now job
		if err := json.Unmarshal(line, &now); err != nil {
			answers.Encode(map[string]any{"error": err.Error()})
			continue
		}
		fmt.Fprintln(os.Stderr, "echoing", len(now.Input), "bytes")
		answers.Encode(map[string]any{"id": now.ID, "output": now.Input})
	}
}
