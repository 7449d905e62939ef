package webapi

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/swaggest/jsonschema-go"
	"github.com/swaggest/openapi-go"
	"github.com/swaggest/openapi-go/openapi31"

	"florin/webapi/decode"
	"florin/webapi/problem"
)

// Operation is what the OpenAPI document says of a route beside its method, path and access.
type Operation struct {
	ID          string
	Tag         string
	Summary     string
	Description string
	// Params is a struct whose fields are tagged path, query or header; nil for none.
	Params any
	// Body is the request's JSON, nil for none. Example shows one. BodyOptional says that it may be missing.
	Body         any
	Example      any
	BodyOptional bool
	// Answers are the successes.
	Answers []Answer
	// Problems are the statuses of the refusals that are this route's own; those that any route may give are added.
	Problems []int
}

// Answer is one success of an operation.
type Answer struct {
	Status int
	// Body is nil for an answer without one.
	Body    any
	Example any
	// Headers is a struct whose fields are tagged header; nil for none.
	Headers any
	// ContentType is application/json when empty.
	ContentType string
	Description string
}

// retryHeaders are on every answer that asks the client to come back.
type retryHeaders struct {
	RetryAfter int `header:"Retry-After" minimum:"1" description:"Seconds after which the same request may be sent again."`
}

const (
	bearerScheme = "bearer"
	jsonType     = "application/json"
	problemType  = "application/problem+json"
)

// Document makes the OpenAPI 3.1 document of the routes. It is made once, when the server is built.
func Document(routes []Route) ([]byte, error) {
	r := openapi31.NewReflector()
	r.DefaultOptions = append(r.DefaultOptions, jsonschema.InterceptSchema(schemaRules), jsonschema.InterceptProp(requireProps),
		jsonschema.InterceptDefName(definitionName), jsonschema.InterceptNullability(nullOrReference),
		func(rc *jsonschema.ReflectContext) { rc.EnvelopNullability = true })
	r.InlineDefinition(uuid.UUID{})
	r.InlineDefinition(decode.Amount(""))
	describe(r.Spec)
	for _, route := range routes {
		if err := addOperation(r, route); err != nil {
			return nil, fmt.Errorf("describe %s %s: %w", route.Method, route.Path, err)
		}
	}
	document, err := json.Marshal(r.Spec, json.Deterministic(true), jsontext.Multiline(false))
	if err != nil {
		return nil, fmt.Errorf("marshal OpenAPI document: %w", err)
	}
	return document, nil
}

func describe(spec *openapi31.Spec) {
	spec.Info.WithTitle("Florin").WithVersion("1").WithDescription(
		"Payments with a ledger: deposits, withdrawals and transfers, each exactly once.\n\n" +
			"Amounts are decimal text with exactly the currency's digits. Times are RFC 3339 UTC. Errors are RFC 9457 problems " +
			"with a stable `code`. A list is `{data, next_cursor}`, newest first.")
	spec.SetHTTPBearerTokenSecurity(bearerScheme, "JWT", "An access token of POST /auth/login.")
}

func addOperation(r *openapi31.Reflector, route Route) error {
	op := route.Operation
	oc, err := r.NewOperationContext(route.Method, documentPath(route.Path))
	if err != nil {
		return err
	}
	oc.SetID(op.ID)
	oc.SetTags(op.Tag)
	oc.SetSummary(op.Summary)
	oc.SetDescription(op.Description)
	if route.Access == User || route.Access == Admin {
		oc.AddSecurity(bearerScheme)
	}
	if op.Params != nil {
		oc.AddReqStructure(op.Params)
	}
	if op.Body != nil {
		oc.AddReqStructure(op.Body, openapi.WithContentType(jsonType), openapi.WithCustomize(bodyRules(!op.BodyOptional, op.Example)))
	}
	for _, a := range op.Answers {
		addAnswer(oc, a)
	}
	for _, status := range problemsOf(route) {
		addProblem(oc, status)
	}
	return r.AddOperation(oc)
}

func addAnswer(oc openapi.OperationContext, a Answer) {
	options := []openapi.ContentOption{openapi.WithHTTPStatus(a.Status)}
	if a.ContentType != "" {
		options = append(options, openapi.WithContentType(a.ContentType))
	}
	description := a.Description
	if description == "" {
		description = http.StatusText(a.Status)
	}
	options = append(options, func(cu *openapi.ContentUnit) { cu.Description = description })
	if a.Example != nil {
		options = append(options, openapi.WithCustomize(func(cor openapi.ContentOrReference) {
			response, ok := cor.(*openapi31.ResponseOrReference)
			if !ok || response.Response == nil {
				return
			}
			setExample(response.Response.Content, a.Example)
		}))
	}
	oc.AddRespStructure(a.Body, options...)
	if a.Headers != nil {
		oc.AddRespStructure(a.Headers, openapi.WithHTTPStatus(a.Status), func(cu *openapi.ContentUnit) { cu.Description = description })
	}
}

func addProblem(oc openapi.OperationContext, status int) {
	oc.AddRespStructure(problem.Problem{}, openapi.WithHTTPStatus(status), openapi.WithContentType(problemType))
	if slices.Contains([]int{http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable}, status) {
		// The description is what the status is called: a second structure must not blank it.
		oc.AddRespStructure(retryHeaders{}, openapi.WithHTTPStatus(status))
	}
}

// problemsOf are the route's own refusals and those that its access and its body may have.
func problemsOf(route Route) []int {
	// A body is looked at before any handler, also where none belongs.
	always := []int{http.StatusInternalServerError, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
	statuses := append(always, route.Operation.Problems...)
	if route.Share != Free {
		statuses = append(statuses, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	}
	switch route.Access {
	case User:
		statuses = append(statuses, http.StatusUnauthorized)
	case Admin:
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden)
	}
	if route.Body != NoBody {
		statuses = append(statuses, http.StatusBadRequest)
	}
	if strings.Contains(route.Path, ":") {
		statuses = append(statuses, http.StatusBadRequest, http.StatusNotFound)
	}
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// bodyRules says whether a request needs its body, and shows one.
func bodyRules(required bool, example any) func(openapi.ContentOrReference) {
	return func(cor openapi.ContentOrReference) {
		request, ok := cor.(*openapi31.RequestBodyOrReference)
		if !ok || request.RequestBody == nil {
			return
		}
		request.RequestBody.WithRequired(required)
		if example != nil {
			setExample(request.RequestBody.Content, example)
		}
	}
}

func setExample(content map[string]openapi31.MediaType, example any) {
	if media, ok := content[jsonType]; ok {
		media.Example = &example
		content[jsonType] = media
	}
}

// documentPath turns the router's "/account/:id" into the document's "/account/{id}".
func documentPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

// schemaRules states what reflection cannot see: an amount is text, although the server reads numbers too, and
// no object has other members
// than those named, neither in what we read nor in what we write.
func schemaRules(params jsonschema.InterceptSchemaParams) (bool, error) {
	if params.Value.Type() == reflect.TypeFor[uuid.UUID]() {
		*params.Schema = *jsonschema.String.ToSchemaOrBool().TypeObject
		params.Schema.WithFormat("uuid")
		return true, nil
	}
	if params.Value.Type() == reflect.TypeFor[decode.Amount]() {
		text := jsonschema.String.ToSchemaOrBool()
		text.TypeObject.WithPattern(`^-?[0-9]+(\.[0-9]+)?$`)
		*params.Schema = *text.TypeObject
		params.Schema.WithDescription("Decimal text. A generated client must not keep an amount in a float.")
		return true, nil
	}
	if params.Processed && len(params.Schema.Properties) > 0 && params.Context.PropertyNameTag == "json" {
		no := false
		params.Schema.WithAdditionalProperties(jsonschema.SchemaOrBool{TypeBoolean: &no})
	}
	return false, nil
}

// nullOrReference takes back the type that reflection states beside a choice of null and a reference: it would
// forbid the null.
func nullOrReference(params jsonschema.InterceptNullabilityParams) {
	if len(params.Schema.AnyOf) == 0 {
		return
	}
	params.Schema.Type = nil
	for _, choice := range params.Schema.AnyOf {
		if choice.TypeObject != nil && choice.TypeObject.Ref != nil {
			choice.TypeObject.Type = nil
		}
	}
}

// requireProps requires every JSON member that is not marked as omitted.
func requireProps(params jsonschema.InterceptPropParams) error {
	if !params.Processed || params.Context.PropertyNameTag != "json" {
		return nil
	}
	tag := params.Field.Tag.Get("json")
	if strings.Contains(tag, "omitempty") || strings.Contains(tag, "omitzero") || params.Field.Tag.Get("required") == "false" {
		return nil
	}
	if !slices.Contains(params.ParentSchema.Required, params.Name) {
		params.ParentSchema.Required = append(params.ParentSchema.Required, params.Name)
	}
	return nil
}

// definitionName names a schema for its package and type, once where both are the same word.
func definitionName(t reflect.Type, _ string) string {
	path := t.PkgPath()
	pkg := path[strings.LastIndexByte(path, '/')+1:]
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if pkg == "" || pkg == "wire" || pkg == "webapi" || strings.EqualFold(pkg, name) {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}
