package database

import (
	"context"
	"errors"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"florin/domain/errs"
	"florin/pkg/telemetry"
)

// systems are the databases as the semantic conventions call them.
var systems = map[Dialect]string{SQLite: "sqlite", Postgres: "postgresql"}

const spanKey = "florin:span"

// giveSpans gives each statement of the handle a client span where it is part of a recorded trace.
// A span has the operation and the table, never the statement's text or a parameter.
func giveSpans(handle *gorm.DB) error {
	system := systems[Dialect(handle.Name())]
	if system == "" {
		system = handle.Name()
	}
	before := func(tx *gorm.DB) {
		ctx := tx.Statement.Context
		if !trace.SpanFromContext(ctx).IsRecording() {
			return
		}
		_, span := otel.Tracer("florin/database").
			Start(ctx, "statement", trace.WithSpanKind(trace.SpanKindClient),
				trace.WithAttributes(attribute.String("db.system.name", system)))
		tx.InstanceSet(spanKey, span)
	}
	after := func(tx *gorm.DB) {
		kept, found := tx.InstanceGet(spanKey)
		if !found {
			return
		}
		span := kept.(trace.Span)
		operation, _, _ := strings.Cut(strings.TrimLeft(tx.Statement.SQL.String(), " \n\t("), " ")
		operation = strings.ToUpper(operation)
		name := operation
		span.SetAttributes(attribute.String("db.operation.name", operation))
		if tx.Statement.Table != "" {
			span.SetAttributes(attribute.String("db.collection.name", tx.Statement.Table))
			name += " " + tx.Statement.Table
		}
		span.SetName(name)
		if tx.Error != nil && !errors.Is(tx.Error, gorm.ErrRecordNotFound) {
			fail(span, tx.Error)
		}
		span.End()
	}
	on := handle.Callback()
	return errors.Join(
		on.Create().
			Before("*").
			Register(spanKey+":before", before),
		on.Create().After("*").Register(spanKey+":after", after),
		on.Query().
			Before("*").
			Register(spanKey+":before", before),
		on.Query().After("*").Register(spanKey+":after", after),
		on.Update().
			Before("*").
			Register(spanKey+":before", before),
		on.Update().After("*").Register(spanKey+":after", after),
		on.Delete().
			Before("*").
			Register(spanKey+":before", before),
		on.Delete().After("*").Register(spanKey+":after", after),
		on.Row().
			Before("*").
			Register(spanKey+":before", before),
		on.Row().After("*").Register(spanKey+":after", after),
		on.Raw().
			Before("*").
			Register(spanKey+":before", before),
		on.Raw().After("*").Register(spanKey+":after", after),
	)
}

// startCommit begins the span of a unit of work: from its arrival until its commit, which it may
// share with others, is over.
func startCommit(ctx context.Context, dialect Dialect) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := otel.Tracer("florin/database").
		Start(ctx, "COMMIT", trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("db.system.name", systems[dialect]), attribute.String("db.operation.name", "COMMIT")),
		)
	return ctx, func(err error) {
		// What the rules of the domain refuse is no fault of the database.
		if err != nil &&
			(errs.KindOf(err) == errs.Internal || errs.KindOf(err) == errs.Unavailable) {
			fail(span, err)
		}
		span.End()
	}
}

// fail names the kind of the error alone: its text may have a value in it.
func fail(span trace.Span, err error) {
	kind := telemetry.ErrorType(err)
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, kind)
}
