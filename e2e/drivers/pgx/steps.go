package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// steps are what of the list no single statement is.
type steps struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (s *steps) named(name string) func() (any, error) {
	all := map[string]func() (any, error){
		"batch": s.batch, "batch_that_fails": s.batchThatFails, "rolled_back": s.rolledBack, "savepoints": s.savepoints,
		"cursor": s.cursor, "cursor_given_up": s.cursorGivenUp, "copy_in": s.copyIn, "copy_out": s.copyOut,
		"copy_that_fails": s.copyThatFails, "copy_given_up": s.copyGivenUp, "notified": s.notified, "cancelled": s.cancelled,
		"prepared": s.prepared, "prepared_then_altered": s.preparedThenAltered,
	}
	return all[name]
}

func (s *steps) query(text string, arguments ...any) (any, error) {
	return asked(s.ctx, s.conn, text, arguments...)
}

func (s *steps) exec(texts ...string) {
	for _, text := range texts {
		must(s.conn.Exec(s.ctx, text))
	}
}

// refusal is what an error says that a step goes on after.
func refusal(err error) any {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	return []any{refused.Code, refused.Message, refused.Detail, refused.ConstraintName, refused.TableName}
}

func (s *steps) batch() (any, error) {
	batch := &pgx.Batch{}
	for i := range 50 {
		batch.Queue("insert into d_bulk values ($1, $2, $3)", i, fmt.Sprint("n", i), []byte{byte(i)})
	}
	batch.Queue("select count(*), sum(id) from d_bulk")
	results := s.conn.SendBatch(s.ctx, batch)
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
}

func (s *steps) batchThatFails() (any, error) {
	batch := &pgx.Batch{}
	for _, kind := range []int{100, 100, 101} {
		batch.Queue("insert into d_kinds values ($1, 'x')", kind)
	}
	failed := s.conn.SendBatch(s.ctx, batch).Close()
	stayed, err := s.query("select count(*) from d_kinds where kind in (100, 101)")
	return []any{refusal(failed), stayed}, err
}

func (s *steps) rolledBack() (any, error) {
	tx := must(s.conn.BeginTx(s.ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}))
	level := must(s.query("show transaction_isolation"))
	s.exec("insert into d_kinds values (300, 'x')")
	if err := tx.Rollback(s.ctx); err != nil {
		return nil, err
	}
	stayed, err := s.query("select count(*) from d_kinds where kind = 300")
	return []any{level, stayed}, err
}

func (s *steps) savepoints() (any, error) {
	tx := must(s.conn.Begin(s.ctx))
	s.exec("insert into d_kinds values (200, 'kept')")
	within := must(tx.Begin(s.ctx))
	_, failed := s.conn.Exec(s.ctx, "insert into d_kinds values (200, 'x')")
	if err := within.Rollback(s.ctx); err != nil {
		return nil, err
	}
	if err := tx.Commit(s.ctx); err != nil {
		return nil, err
	}
	stayed, err := s.query("select * from d_kinds where kind = 200")
	return []any{refusal(failed), stayed}, err
}

func (s *steps) cursor() (any, error) {
	tx := must(s.conn.Begin(s.ctx))
	defer tx.Rollback(s.ctx)
	return portal(s.conn.PgConn().Frontend(), 3, 40, 0)
}

func (s *steps) cursorGivenUp() (any, error) {
	some, err := portal(s.conn.PgConn().Frontend(), 2)
	if err != nil {
		return nil, err
	}
	after, err := s.query("select 7")
	return []any{some, after}, err
}

// portal reads a named portal in parts, as no API of pgx does.
func portal(front *pgproto3.Frontend, parts ...uint32) (any, error) {
	front.SendParse(&pgproto3.Parse{Query: "select i from generate_series(1, 50) i"})
	front.SendBind(&pgproto3.Bind{DestinationPortal: "p", ResultFormatCodes: []int16{1}})
	for _, rows := range parts {
		front.SendExecute(&pgproto3.Execute{Portal: "p", MaxRows: rows})
	}
	front.SendClose(&pgproto3.Close{ObjectType: 'P', Name: "p"})
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

func (s *steps) copyIn() (any, error) {
	rows := pgx.CopyFromSlice(3000, func(i int) ([]any, error) { return []any{int32(i), "r", []byte{0, 255}}, nil })
	copied, err := s.conn.CopyFrom(s.ctx, pgx.Identifier{"d_bulk"}, []string{"id", "name", "raw"}, rows)
	if err != nil {
		return nil, err
	}
	there, err := s.query("select count(*), sum(id), sum(length(raw)) from d_bulk")
	return []any{copied, there}, err
}

func (s *steps) copyOut() (any, error) {
	var got []any
	for _, form := range []string{"text", "csv", "binary"} {
		var out bytes.Buffer
		text := fmt.Sprintf("copy (select * from d_bulk order by id, name, raw limit 500) to stdout (format %s)", form)
		tag, err := s.conn.PgConn().CopyTo(s.ctx, &out, text)
		if err != nil {
			return nil, err
		}
		got = append(got, tag.String(), out.Bytes())
	}
	return got, nil
}

func (s *steps) copyFrom(lines io.Reader) (any, error) {
	return s.conn.PgConn().CopyFrom(s.ctx, lines, "copy d_bulk (id) from stdin")
}

func (s *steps) copyThatFails() (any, error) {
	return s.copyFrom(strings.NewReader("1\nx\n"))
}

// ends is a reader that fails.
type ends struct{}

func (ends) Read([]byte) (int, error) { return 0, errors.New("given up") }

func (s *steps) copyGivenUp() (any, error) {
	_, failed := s.copyFrom(io.MultiReader(strings.NewReader("1\n"), ends{}))
	after, err := s.query("select 7")
	return []any{refusal(failed), after}, err
}

func (s *steps) notified() (any, error) {
	s.exec("listen d_words")
	other := connect(s.ctx)
	defer other.Close(s.ctx)
	must(other.Exec(s.ctx, "notify d_words, 'hello'"))
	for {
		// The list's own statements notified this session, too.
		got, err := s.conn.WaitForNotification(s.ctx)
		if err != nil || got.Channel == "d_words" {
			return []any{got.Channel, got.Payload, got.PID == other.PgConn().PID()}, err
		}
	}
}

func (s *steps) cancelled() (any, error) {
	told := make(chan error)
	go func() { told <- s.cancel() }()
	_, failed := simple(s.ctx, s.conn, "select pg_sleep(300)")
	if err := <-told; err != nil {
		return nil, err
	}
	after, err := s.query("select 7")
	return []any{refusal(failed), after}, err
}

// cancel waits until the session sleeps.
func (s *steps) cancel() error {
	other := connect(s.ctx)
	defer other.Close(s.ctx)
	text := "select count(*)::int from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'"
	for sleeping := 0; sleeping == 0; {
		if err := other.QueryRow(s.ctx, text, int32(s.conn.PgConn().PID())).Scan(&sleeping); err != nil {
			return err
		}
	}
	return s.conn.PgConn().CancelRequest(s.ctx)
}

func (s *steps) prepared() (any, error) {
	var got []any
	for i := range 20 {
		got = append(got, must(s.query("select name from d_items where id = $1", i%5)))
	}
	s.exec("deallocate all")
	after, failed := s.query("select name from d_items where id = $1", 2)
	again := must(s.query("select name from d_items where id = $1", 2))
	// Nor does the server have anything else that is kept here.
	return []any{got, after, refusal(failed), again}, s.conn.DeallocateAll(s.ctx)
}

func (s *steps) preparedThenAltered() (any, error) {
	s.exec("create table d_altered as select 1 as id")
	var got []any
	for range 6 {
		got = append(got, must(s.query("select * from d_altered")))
	}
	s.exec("alter table d_altered add column more text default 'more'")
	after, failed := s.query("select * from d_altered")
	again, err := s.query("select * from d_altered")
	return []any{got, after, refusal(failed), again}, err
}

// cached has more than one type in what is kept prepared.
func (s *steps) cached() (any, error) {
	var got []any
	for kind := 1; kind < 4; kind++ {
		one, err := s.query("select id, name, price, at, tags from d_items where kind = $1 order by id", kind)
		if err != nil {
			return nil, err
		}
		got = append(got, one)
	}
	return got, nil
}
