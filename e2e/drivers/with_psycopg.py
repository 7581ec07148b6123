"""The checks by psycopg 3: text and binary results, pipelines, cursors, COPY, notifications, cancels, errors."""
import json, os, pathlib, sys, threading
import psycopg
from psycopg import sql

here = pathlib.Path(__file__).parent
checks = json.loads((here / "checks.json").read_text())
dsn = os.environ["CHECKS_DSN"]


def say(name, *what):
    print(json.dumps([name, *map(repr, what)], ensure_ascii=False), flush=True)


def failed(error):
    d = error.diag
    return (error.sqlstate, d.severity, d.message_primary, d.message_detail, d.message_hint, d.statement_position, d.table_name, d.constraint_name)


def run(name, work):
    try:
        say(name, *work())
    except psycopg.Error as error:
        say(name, "error", failed(error))


conn = psycopg.connect(dsn, autocommit=True)
notices = []
conn.add_notice_handler(lambda diag: notices.append((diag.severity, diag.sqlstate, diag.message_primary)))
for kind, value in checks["values"]:
    for binary in (False, True):
        def work():
            cur = conn.cursor(binary=binary)
            cur.execute(f"select %s::{kind}, array[%s::{kind}], null::{kind}", (value, value), prepare=binary)
            return cur.description[0].type_code, [bytes(v) if isinstance(v, memoryview) else v for v in cur.fetchone()[:1]], cur.pgresult.get_value(0, 1)
        run(f"value {kind} {value} {binary}", work)
for statement in checks["statements"]:
    def work():
        cur = conn.execute(statement)
        rows = cur.fetchall() if cur.description else None
        return cur.statusmessage, [c.name for c in cur.description or []], rows
    run(statement, work)
say("notices", notices)


def pipeline():
    with conn.pipeline() as p:
        curs = [conn.execute("select %s::int * 2", (i,)) for i in range(50)]
        p.sync()
    return [c.fetchone()[0] for c in curs],


def pipeline_error():
    try:
        with conn.pipeline():
            conn.execute("insert into d_kinds values (100, 'x')")
            conn.execute("select 1/0")
            conn.execute("insert into d_kinds values (101, 'x')")
    except psycopg.Error as error:
        return failed(error), conn.execute("select count(*) from d_kinds where kind > 99").fetchone()
    return "no error",


def many():
    cur = conn.cursor()
    cur.executemany("insert into d_bulk (id, name) values (%s, %s) returning id", [(i, f"n{i}") for i in range(500)], returning=True)
    return cur.fetchone(), conn.execute("select count(*), sum(id) from d_bulk").fetchone()


def server_cursor():
    with conn.transaction(), conn.cursor("named", scrollable=True) as cur:
        cur.itersize = 7
        cur.execute("select i from generate_series(1, 40) i")
        got = [row[0] for row in cur]
        cur.scroll(-5)
        return got, cur.fetchall()


def nested():
    try:
        with conn.transaction():
            conn.execute("insert into d_kinds values (200, 'kept')")
            try:
                with conn.transaction():
                    conn.execute("insert into d_kinds values (201, 'gone')")
                    raise ValueError
            except ValueError:
                pass
    finally:
        pass
    return conn.execute("select kind from d_kinds where kind >= 200").fetchall(),


def copies():
    got = []
    for form in ("", " (format csv, header)", " (format binary)"):
        with conn.cursor().copy(f"copy (select * from d_items order by id) to stdout{form}") as copy:
            got.append(b"".join(bytes(piece) for piece in copy))
    with conn.cursor().copy("copy d_bulk from stdin (format binary)") as copy:
        copy.set_types(["int4", "text", "bytea"])
        for i in range(2000):
            copy.write_row((i, "copied" * 20, bytes([i % 256])))
    with conn.cursor().copy("copy d_bulk (id, name) from stdin") as copy:
        copy.write("1\tone\n2\t\\N\n" * 1000)
    return got, conn.execute("select count(*), sum(length(name)), sum(length(raw)) from d_bulk").fetchone()


def copy_failed():
    with conn.cursor().copy("copy d_bulk (id) from stdin") as copy:
        copy.write("1\nx\n")
    return "no error",


def copy_given_up():
    with conn.cursor().copy("copy d_bulk (id) from stdin") as copy:
        copy.write("1\n")
        raise psycopg.OperationalError("given up")


def notified():
    conn.execute("listen d_words")
    other = psycopg.connect(dsn, autocommit=True)
    other.execute("notify d_words, 'from the other'")
    notify = next(conn.notifies(timeout=10, stop_after=1))
    same = notify.pid == other.info.backend_pid
    other.close()
    return notify.channel, notify.payload, same


def cancelled():
    timer = threading.Timer(0.5, lambda: conn.cancel_safe(timeout=10))
    timer.start()
    try:
        conn.execute("select pg_sleep(30)")
    finally:
        timer.join()
    return "no error",


def prepared():
    got = []
    for i in range(20):
        got.append(conn.execute("select name from d_items where id = %s", (i % 5,), prepare=True).fetchone())
    conn.execute("deallocate all")
    conn.execute("discard all")
    return got,


for work in (pipeline, pipeline_error, many, server_cursor, nested, copies, copy_failed, copy_given_up, notified, cancelled, prepared):
    run(work.__name__, work)
run("after it all", lambda: (conn.info.transaction_status.name, conn.execute("select 1").fetchone()))
say("parameters", [conn.info.parameter_status(p) for p in ("server_version", "client_encoding", "DateStyle", "integer_datetimes", "standard_conforming_strings")])
