// The checks by pgx: binary results, a cache of prepared statements, pipelined batches, COPY in binary.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The first OID of what users make, which differs from one database to another.
const firstOfUsers = 16384

type checks struct {
	Values     [][2]string
	Statements []string
	Steps      map[string]string
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func say(name string, what ...any) {
	line := must(json.Marshal(append([]any{name}, what...)))
	fmt.Println(string(line))
}

func run(name string, work func() (any, error)) {
	got, err := work()
	var refused *pgconn.PgError
	switch {
	case err == nil:
		say(name, got)
	case errors.As(err, &refused):
		say(name, "error", refused.Severity, refused.Code, refused.Message, refused.Detail, refused.Position, refused.ConstraintName)
	default:
		panic(fmt.Sprintf("%s: %v", name, err))
	}
}

func connect(ctx context.Context) *pgx.Conn {
	given := func(name string) string { return os.Getenv("CHECKS_" + name) }
	config := must(pgx.ParseConfig(""))
	config.Host, config.User, config.Password, config.Database = given("HOST"), given("USER"), given("PASSWORD"), given("DATABASE")
	config.Port = uint16(must(strconv.ParseUint(given("PORT"), 10, 16)))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(must(os.ReadFile(given("CA"))))
	config.TLSConfig = &tls.Config{RootCAs: trusted, ServerName: config.Host}
	config.Fallbacks = nil
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		say("notice", notice.Severity, notice.Code, notice.Message)
	}
	return must(pgx.ConnectConfig(ctx, config))
}

// told is what rows are, byte for byte, without what differs from one database to another.
func told(rows pgx.Rows) (any, error) {
	defer rows.Close()
	var fields, values []any
	for _, field := range rows.FieldDescriptions() {
		oid := any(field.DataTypeOID)
		if field.DataTypeOID >= firstOfUsers {
			oid = "of users"
		}
		fields = append(fields, []any{field.Name, oid, field.DataTypeSize, field.TypeModifier, field.Format})
	}
	for rows.Next() {
		var row []any
		for _, value := range rows.RawValues() {
			row = append(row, bytes.Clone(value))
		}
		values = append(values, row)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return []any{rows.CommandTag().String(), fields, values}, nil
}

func main() {
	ctx, end := context.WithTimeout(context.Background(), 10*time.Minute)
	defer end()
	var all checks
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &all); err != nil {
		panic(err)
	}
	conn := connect(ctx)
	query := func(text string, arguments ...any) (any, error) { return asked(ctx, conn, text, arguments...) }
	for _, check := range all.Values {
		kind, value := check[0], check[1]
		text := fmt.Sprintf("select $1::text::%s as v, array[$1::text::%s] as a, null::%s as n", kind, kind, kind)
		run("value "+kind+" "+value, func() (any, error) { return query(text, value) })
	}
	for _, statement := range all.Statements {
		run(statement, func() (any, error) { return simple(ctx, conn, statement) })
		run("again: "+statement, func() (any, error) { return query(statement, pgx.QueryExecModeExec) })
	}
	steps := &steps{ctx: ctx, conn: conn}
	for _, name := range slices.Sorted(maps.Keys(all.Steps)) {
		run(name, steps.named(name))
	}
	run("cached", steps.cached)
	run("after it all", func() (any, error) { return query("select 7") })
	conn.Close(ctx)
}

// asked sends what pgx would: by default a statement that it keeps prepared.
func asked(ctx context.Context, conn *pgx.Conn, text string, arguments ...any) (any, error) {
	rows, err := conn.Query(ctx, text, arguments...)
	if err != nil {
		return nil, err
	}
	return told(rows)
}

// simple sends one Query message.
func simple(ctx context.Context, conn *pgx.Conn, text string) (any, error) {
	results, err := conn.PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		return nil, err
	}
	var got []any
	for _, result := range results {
		got = append(got, []any{result.CommandTag.String(), len(result.FieldDescriptions), result.Rows})
	}
	return got, nil
}
