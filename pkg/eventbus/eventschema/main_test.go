package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"florin/pkg/eventbus"
	"florin/pkg/eventbus/eventbustest"
)

const folder = "../../../docs/events"

func TestSchemasAreCurrent(t *testing.T) {
	made, err := schemas()
	require.NoError(t, err)
	require.Len(t, made, 2)
	for name, schema := range made {
		kept, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.Equal(t, string(schema), string(kept), "%s is stale: run make generate", name)
	}
}

func TestEventsMatchTheirSchemas(t *testing.T) {
	envelope, data := compiled(t, "cloud-event.v1.schema.json"), compiled(t, "payment-event.v1.schema.json")
	for i, e := range eventbustest.Events(3) {
		body, err := eventbus.MarshalCloudEvent(int64(i), e)
		require.NoError(t, err)
		event, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, envelope.Validate(event))
		members := event.(map[string]any)["data"].(map[string]any)
		require.NoError(t, data.Validate(members))

		members["amount"] = "12.34"
		require.Error(t, data.Validate(members), "an amount is minor units")
		members["amount"], members["added_later"] = json.Number("1"), "yes"
		require.NoError(t, data.Validate(members), "members may be added")
		delete(members, "transaction_id")
		require.Error(t, data.Validate(members))
	}
}

func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(filepath.Join(folder, name))
	require.NoError(t, err)
	defer file.Close()
	document, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(name, document))
	schema, err := compiler.Compile(name)
	require.NoError(t, err)
	return schema
}
