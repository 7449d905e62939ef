// Command eventschema writes the JSON Schemas of docs/events, made of the Go types, into the folder given.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/swaggest/jsonschema-go"

	"florin/pkg/eventbus"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "eventschema:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("wants one folder, got %q", args)
	}
	schemas, err := schemas()
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		if err := os.WriteFile(filepath.Join(args[0], name), schema, 0o600); err != nil {
			return fmt.Errorf("write schema: %w", err)
		}
	}
	return nil
}

// schemas is the text of each schema by the name of its file.
func schemas() (map[string][]byte, error) {
	event, err := schemaOf(eventbus.CloudEvent{}, "urn:florin:cloud-event:1", "A payment event of Florin, in the structured JSON form of CloudEvents 1.0.")
	if err != nil {
		return nil, err
	}
	data, err := schemaOf(eventbus.PaymentData{}, eventbus.CloudEventSchema, "A transaction moved to a status.")
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"cloud-event.v1.schema.json": event, "payment-event.v1.schema.json": data}, nil
}

// schemaOf leaves objects open: a member may be added without a new version, and who reads passes over what he does not know.
func schemaOf(value any, id, description string) ([]byte, error) {
	reflector := jsonschema.Reflector{}
	schema, err := reflector.Reflect(value, jsonschema.InlineRefs, jsonschema.InterceptProp(requireProps),
		jsonschema.InterceptNullability(func(p jsonschema.InterceptNullabilityParams) {
			if p.NullAdded {
				p.Schema.RemoveType(jsonschema.Null)
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("reflect %T: %w", value, err)
	}
	schema.WithID(id).WithSchema("http://json-schema.org/draft-07/schema#").WithDescription(description)
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("marshal schema of %T: %w", value, err)
	}
	return append(text, '\n'), nil
}

func requireProps(p jsonschema.InterceptPropParams) error {
	if p.Processed && !strings.Contains(p.Field.Tag.Get("json"), "omitempty") && !slices.Contains(p.ParentSchema.Required, p.Name) {
		p.ParentSchema.Required = append(p.ParentSchema.Required, p.Name)
	}
	return nil
}
