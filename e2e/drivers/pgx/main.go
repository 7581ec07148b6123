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
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// The first OID of what users make, which differs from one database to another.
const firstOfUsers = 16384

type checks struct {
	Values     [][2]string
	Statements []string
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
	ctx, end := context.WithTimeout(context.Background(), 2*time.Minute)
	defer end()
	var all checks
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &all); err != nil {
		panic(err)
	}
	conn := connect(ctx)
	query := func(text string, arguments ...any) (any, error) {
		rows, err := conn.Query(ctx, text, arguments...)
		if err != nil {
			return nil, err
		}
		return told(rows)
	}
	for _, check := range all.Values {
		kind, value := check[0], check[1]
		text := fmt.Sprintf("select $1::text::%s as v, array[$1::text::%s] as a, null::%s as n", kind, kind, kind)
		run("value "+kind+" "+value, func() (any, error) { return query(text, value) })
	}
	for _, statement := range all.Statements {
		run(statement, func() (any, error) { return simple(ctx, conn, statement) })
		run("again: "+statement, func() (any, error) { return query(statement, pgx.QueryExecModeExec) })
	}
	run("cached", func() (any, error) {
		var got []any
		for kind := 1; kind < 4; kind++ {
			one, err := query("select id, name, price, at, tags from d_items where kind = $1 order by id", kind)
			if err != nil {
				return nil, err
			}
			got = append(got, one)
		}
		return got, nil
	})
	run("batch", func() (any, error) {
		batch := &pgx.Batch{}
		for i := range 50 {
			batch.Queue("insert into d_bulk values ($1, $2, $3)", i, fmt.Sprint("n", i), []byte{byte(i)})
		}
		batch.Queue("select count(*), sum(id) from d_bulk")
		results := conn.SendBatch(ctx, batch)
		defer results.Close()
		for range 50 {
			if _, err := results.Exec(); err != nil {
				return nil, err
			}
		}
		rows, err := results.Query()
		if err != nil {
			return nil, err
		}
		return told(rows)
	})
	run("batch that fails", func() (any, error) {
		batch := &pgx.Batch{}
		batch.Queue("insert into d_kinds values (400, 'x')")
		batch.Queue("insert into d_kinds values (400, 'x')")
		batch.Queue("select 1")
		return nil, conn.SendBatch(ctx, batch).Close()
	})
	run("copy in binary", func() (any, error) {
		rows := pgx.CopyFromSlice(3000, func(i int) ([]any, error) { return []any{int32(i), "r", []byte{0, 255}}, nil })
		return conn.CopyFrom(ctx, pgx.Identifier{"d_bulk"}, []string{"id", "name", "raw"}, rows)
	})
	run("copy out", func() (any, error) {
		var text, binary bytes.Buffer
		if _, err := conn.PgConn().CopyTo(ctx, &text, "copy (select * from d_bulk order by id, name limit 500) to stdout"); err != nil {
			return nil, err
		}
		_, err := conn.PgConn().CopyTo(ctx, &binary, "copy (select * from d_bulk order by id, name limit 500) to stdout (format binary)")
		return []any{text.String(), binary.Bytes()}, err
	})
	run("portal", func() (any, error) {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback(ctx)
		return portal(conn.PgConn().Frontend())
	})
	conn.Close(ctx)
	conn = connect(ctx)
	run("notified", func() (any, error) {
		if _, err := conn.Exec(ctx, "listen d_words"); err != nil {
			return nil, err
		}
		other := connect(ctx)
		defer other.Close(ctx)
		if _, err := other.Exec(ctx, "notify d_words, 'hello'"); err != nil {
			return nil, err
		}
		got, err := conn.WaitForNotification(ctx)
		if err != nil {
			return nil, err
		}
		return []any{got.Channel, got.Payload, got.PID == other.PgConn().PID()}, nil
	})
	run("cancelled", func() (any, error) {
		other := connect(ctx)
		defer other.Close(ctx)
		go func() {
			for sleeping := 0; sleeping == 0; {
				row := other.QueryRow(ctx, "select count(*)::int from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", int32(conn.PgConn().PID()))
				if row.Scan(&sleeping) != nil {
					return
				}
			}
			_ = conn.PgConn().CancelRequest(ctx)
		}()
		return simple(ctx, conn, "select pg_sleep(30)")
	})
	run("after it all", func() (any, error) { return query("select 7") })
	conn.Close(ctx)
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

// portal reads a named portal in parts, as no API of pgx does.
func portal(front *pgproto3.Frontend) (any, error) {
	front.SendParse(&pgproto3.Parse{Query: "select i from generate_series(1, 50) i"})
	front.SendBind(&pgproto3.Bind{DestinationPortal: "p", ResultFormatCodes: []int16{1}})
	for _, rows := range []uint32{3, 40, 0} {
		front.SendExecute(&pgproto3.Execute{Portal: "p", MaxRows: rows})
	}
	front.SendSync(&pgproto3.Sync{})
	if err := front.Flush(); err != nil {
		return nil, err
	}
	var got []any
	for {
		message, err := front.Receive()
		if err != nil {
			return nil, err
		}
		switch message := message.(type) {
		case *pgproto3.DataRow:
			got = append(got, bytes.Clone(message.Values[0]))
		case *pgproto3.ReadyForQuery:
			return append(got, string(message.TxStatus)), nil
		default:
			got = append(got, fmt.Sprintf("%T", message))
		}
	}
}
