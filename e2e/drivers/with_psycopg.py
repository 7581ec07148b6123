"""The checks by psycopg 3: text and binary results, pipelines, cursors, COPY, notifications, cancels, errors."""
import json, os, pathlib
from concurrent.futures import ThreadPoolExecutor
import psycopg

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
        run(f"value {kind} {value}", work)
for statement in checks["statements"]:
    def work():
        cur = conn.execute(statement)
        rows = cur.fetchall() if cur.description else None
        return cur.statusmessage, [c.name for c in cur.description or []], rows
    run(statement, work)
say("notices", notices)


def counted(where):
    return conn.execute(f"select count(*), sum(length(label)) from d_kinds where {where}").fetchone()


def batch():
    with conn.pipeline() as p:
        curs = [conn.execute("insert into d_bulk (id, name) values (%s, %s) returning id * 2", (i, f"n{i}")) for i in range(50)]
        p.sync()
    return [c.fetchone()[0] for c in curs],


def batch_that_fails():
    try:
        with conn.pipeline():
            conn.execute("insert into d_kinds values (100, 'x')")
            conn.execute("insert into d_kinds values (100, 'x')")
            conn.execute("insert into d_kinds values (101, 'x')")
    except psycopg.Error as error:
        return failed(error), counted("kind in (100, 101)")


def rolled_back():
    conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    with conn.transaction(force_rollback=True):
        level = conn.execute("show transaction_isolation").fetchone()
        conn.execute("insert into d_kinds values (300, 'x')")
        within = counted("kind = 300")
    conn.isolation_level = None
    return level, within, counted("kind = 300")


def savepoints():
    with conn.transaction():
        conn.execute("insert into d_kinds values (200, 'kept')")
        try:
            with conn.transaction():
                conn.execute("insert into d_kinds values (201, 'gone')")
                conn.execute("insert into d_kinds values (200, 'x')")
        except psycopg.Error as error:
            within = failed(error)
    return within, conn.execute("select kind from d_kinds where kind in (200, 201)").fetchall()


def cursor():
    with conn.transaction(), conn.cursor("named", scrollable=True) as cur:
        cur.itersize = 7
        cur.execute("select i from generate_series(1, 50) i")
        got = [row[0] for row in cur]
        cur.scroll(-5)
        return got, cur.fetchall()


def cursor_given_up():
    with conn.transaction(), conn.cursor("named") as cur:
        cur.execute("select i from generate_series(1, 50) i")
        got = cur.fetchmany(2)
    return got, conn.execute("select 7").fetchone()


def copy_in():
    with conn.cursor().copy("copy d_bulk from stdin (format binary)") as copy:
        copy.set_types(["int4", "text", "bytea"])
        for i in range(2000):
            copy.write_row((i, "copied" * 20, bytes([i % 256])))
    with conn.cursor().copy("copy d_bulk (id, name) from stdin") as copy:
        copy.write("1\tone\n2\t\\N\n" * 500)
    return conn.execute("select count(*), sum(length(name)), sum(length(raw)) from d_bulk").fetchone(),


def copy_out():
    got = []
    for form in ("", " (format csv, header)", " (format binary)"):
        with conn.cursor().copy(f"copy (select * from d_items order by id) to stdout{form}") as copy:
            got.append(b"".join(bytes(piece) for piece in copy))
    return got,


def copy_that_fails():
    with conn.cursor().copy("copy d_bulk (id) from stdin") as copy:
        copy.write("1\nx\n")


def copy_given_up():
    with conn.cursor().copy("copy d_bulk (id) from stdin") as copy:
        copy.write("1\n")
        raise psycopg.OperationalError("given up")


def notified():
    conn.execute("listen d_words")
    other = psycopg.connect(dsn, autocommit=True)
    other.execute("notify d_words, 'from the other'")
    notify = next(notify for notify in conn.notifies(timeout=60) if notify.channel == "d_words")
    same = notify.pid == other.info.backend_pid
    other.close()
    return notify.channel, notify.payload, same


def cancelled():
    pid = conn.info.backend_pid

    def cancel():
        with psycopg.connect(dsn, autocommit=True) as other:
            while not other.execute("select 1 from pg_stat_activity where pid = %s and wait_event = 'PgSleep'", (pid,)).fetchone():
                pass
        conn.cancel_safe(timeout=60)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(cancel)
        try:
            conn.execute("select pg_sleep(300)")
        except psycopg.Error as error:
            done.result()
            return failed(error), conn.execute("select 7").fetchone()


def prepared():
    got = []
    for i in range(20):
        got.append(conn.execute("select name from d_items where id = %s", (i % 5,), prepare=True).fetchone())
    conn.execute("deallocate all")
    got.append(conn.execute("select name from d_items where id = %s", (2,), prepare=True).fetchone())
    conn.execute("discard all")
    return got,


def prepared_then_altered():
    conn.execute("create table d_altered as select 1 as id")
    got = [conn.execute("select * from d_altered", prepare=True).fetchone() for _ in range(6)]
    conn.execute("alter table d_altered add column more text default 'more'")
    try:
        got.append(conn.execute("select * from d_altered", prepare=True).fetchone())
    except psycopg.Error as error:
        got.append(failed(error))
    return got, conn.execute("select * from d_altered", prepare=False).fetchone()


def many():
    cur = conn.cursor()
    cur.executemany("insert into d_bulk (id, name) values (%s, %s) returning id", [(i, f"n{i}") for i in range(500)], returning=True)
    return cur.fetchone(), conn.execute("select count(*), sum(id) from d_bulk").fetchone()


for name in checks["steps"]:
    run(name, globals()[name])
run("many", many)
run("after it all", lambda: (conn.info.transaction_status.name, conn.execute("select 1").fetchone()))
say("parameters", [conn.info.parameter_status(p) for p in ("server_version", "client_encoding", "DateStyle", "integer_datetimes", "standard_conforming_strings")])
