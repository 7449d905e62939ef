package wire

import (
	"context"

	"florin/pkg/telemetry"
)

// TraceParent is the W3C trace context of the request's span as it is stored, "" where nothing is traced.
func TraceParent(ctx context.Context) string { return telemetry.Carried(ctx) }
