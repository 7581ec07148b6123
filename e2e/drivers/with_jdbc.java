// The checks by JDBC: extended queries in text and in binary, and simple ones; statements that the driver prepares at the server
// once they were run five times; what tools ask of a database's metadata.
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyIn;
import org.postgresql.util.PSQLException;

class WithJdbc {
    static final Gson JSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    record Checks(List<List<String>> values, List<String> statements, Map<String, String> steps) {}

    interface Work {
        Object get() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        var checks = JSON.fromJson(Files.readString(Path.of(args[0])), Checks.class);
        try (var connection = connect()) {
            for (var value : checks.values()) {
                for (var threshold : new int[] {0, -1}) {
                    run("value " + value.get(0) + " " + value.get(1), () -> value(connection, value.get(0), value.get(1), threshold));
                }
            }
            for (var statement : checks.statements()) {
                run(statement, () -> told(connection, statement));
                run("again: " + statement, () -> prepared(connection, statement));
            }
        }
        // What the list left open, a transaction or a temporary table, ends with its session.
        try (var connection = connect("preferQueryMode", "simple")) {
            for (var statement : checks.statements()) {
                run("simple: " + statement, () -> told(connection, statement));
            }
        }
        try (var connection = connect()) {
            var steps = new Steps(connection);
            for (var name : checks.steps().keySet()) {
                run(name, steps.all().get(name)::get);
            }
            run("metadata", steps::metadata);
            run("after it all", () -> told(connection, "select 1"));
        }
    }

    static Connection connect(String... more) throws SQLException {
        var given = new Properties();
        given.setProperty("user", env("USER"));
        given.setProperty("password", env("PASSWORD"));
        given.setProperty("sslmode", "verify-full");
        given.setProperty("sslrootcert", env("CA"));
        for (int i = 0; i < more.length; i += 2) {
            given.setProperty(more[i], more[i + 1]);
        }
        return DriverManager.getConnection("jdbc:postgresql://" + env("HOST") + ":" + env("PORT") + "/" + env("DATABASE"), given);
    }

    static String env(String name) {
        return System.getenv("CHECKS_" + name);
    }

    static void say(Object... what) {
        System.out.println(JSON.toJson(what));
    }

    static void run(String name, Work work) throws Exception {
        try {
            say(name, work.get());
        } catch (SQLException error) {
            say(name, "error", refusal(error));
        }
    }

    static List<Object> refusal(SQLException error) {
        var got = new ArrayList<Object>(Arrays.asList(error.getClass().getSimpleName(), error.getSQLState()));
        if (error instanceof PSQLException refused && refused.getServerErrorMessage() != null) {
            var said = refused.getServerErrorMessage();
            got.addAll(Arrays.asList(said.getSeverity(), said.getMessage(), said.getDetail(), said.getHint(), said.getPosition()));
            got.addAll(Arrays.asList(said.getTable(), said.getConstraint()));
        } else {
            got.add(error.getMessage());
        }
        return got;
    }

    static Object value(Connection connection, String type, String value, int threshold) throws SQLException {
        var text = "select ?::text::" + type + " as v, array[?::text::" + type + "] as a, null::" + type + " as n";
        try (var statement = connection.prepareStatement(text)) {
            // Below zero, what can be is asked for in binary.
            statement.unwrap(PGStatement.class).setPrepareThreshold(threshold);
            statement.setString(1, value);
            statement.setString(2, value);
            try (var rows = statement.executeQuery()) {
                return rows(rows);
            }
        }
    }

    static Object told(Connection connection, String text) throws SQLException {
        try (var statement = connection.createStatement()) {
            return results(statement, statement.execute(text));
        }
    }

    static Object prepared(Connection connection, String text) throws SQLException {
        try (var statement = connection.prepareStatement(text)) {
            return results(statement, statement.execute());
        }
    }

    static Object results(Statement statement, boolean rows) throws SQLException {
        var got = new ArrayList<Object>();
        while (rows || statement.getUpdateCount() != -1) {
            got.add(rows ? rows(statement.getResultSet()) : statement.getLargeUpdateCount());
            rows = statement.getMoreResults();
        }
        for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
            got.add(List.of("notice", warning.getSQLState(), warning.getMessage()));
        }
        return got;
    }

    static Object rows(ResultSet rows) throws SQLException {
        var columns = rows.getMetaData();
        var got = new ArrayList<Object>();
        for (int i = 1; i <= columns.getColumnCount(); i++) {
            // The last ones are asked of the catalog, in a query of the driver's own.
            got.add(Arrays.asList(columns.getColumnLabel(i), columns.getColumnTypeName(i), columns.getPrecision(i), columns.getScale(i),
                columns.getTableName(i), columns.isNullable(i), columns.isAutoIncrement(i)));
        }
        while (rows.next()) {
            var row = new ArrayList<String>();
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                boolean bytes = columns.getColumnType(i) == Types.BINARY && rows.getObject(i) != null;
                row.add(bytes ? HexFormat.of().formatHex(rows.getBytes(i)) : rows.getString(i));
            }
            got.add(row);
        }
        return got;
    }

    record Steps(Connection connection) {
        Map<String, Work> all() {
            return Map.ofEntries(
                Map.entry("batch", this::batch), Map.entry("batch_that_fails", this::batchThatFails),
                Map.entry("rolled_back", this::rolledBack), Map.entry("savepoints", this::savepoints),
                Map.entry("cursor", () -> cursor(50)), Map.entry("cursor_given_up", () -> cursor(2)),
                Map.entry("copy_in", this::copyIn), Map.entry("copy_out", this::copyOut),
                Map.entry("copy_that_fails", this::copyThatFails), Map.entry("copy_given_up", this::copyGivenUp),
                Map.entry("notified", this::notified), Map.entry("cancelled", this::cancelled),
                Map.entry("prepared", this::prepared), Map.entry("prepared_then_altered", this::preparedThenAltered));
        }

        PGConnection driver() throws SQLException {
            return connection.unwrap(PGConnection.class);
        }

        Object told(String text) throws SQLException {
            return WithJdbc.told(connection, text);
        }

        // What `text` answers, or what it is refused with, where the step goes on.
        Object tried(String text) {
            try {
                return told(text);
            } catch (SQLException error) {
                return refusal(error);
            }
        }

        Object batch() throws SQLException {
            try (var insert = connection.prepareStatement("insert into d_bulk values (?, ?, ?)")) {
                for (int i = 0; i < 50; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "n" + i);
                    insert.setBytes(3, new byte[] {(byte) i});
                    insert.addBatch();
                }
                return Arrays.asList(insert.executeBatch(), told("select count(*), sum(id) from d_bulk"));
            }
        }

        Object batchThatFails() throws SQLException {
            try (var statement = connection.createStatement()) {
                for (int kind : new int[] {100, 100, 101}) {
                    statement.addBatch("insert into d_kinds values (" + kind + ", 'x')");
                }
                statement.executeBatch();
                return "no error";
            } catch (BatchUpdateException error) {
                return Arrays.asList(error.getUpdateCounts(), refusal(error), told("select * from d_kinds where kind in (100, 101)"));
            }
        }

        Object rolledBack() throws SQLException {
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setAutoCommit(false);
            var level = told("show transaction_isolation");
            var within = told("insert into d_kinds values (300, 'x') returning *");
            connection.rollback();
            connection.setAutoCommit(true);
            connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
            return Arrays.asList(level, within, told("select * from d_kinds where kind = 300"));
        }

        Object savepoints() throws SQLException {
            connection.setAutoCommit(false);
            told("insert into d_kinds values (200, 'kept')");
            var point = connection.setSavepoint("a");
            var refused = tried("insert into d_kinds values (200, 'x')");
            var aborted = tried("select 1");
            connection.rollback(point);
            connection.commit();
            connection.setAutoCommit(true);
            return Arrays.asList(refused, aborted, told("select * from d_kinds where kind = 200"));
        }

        Object cursor(int most) throws SQLException {
            connection.setAutoCommit(false);
            var got = new ArrayList<Integer>();
            try (var statement = connection.createStatement()) {
                statement.setFetchSize(7);
                var rows = statement.executeQuery("select i from generate_series(1, 50) i");
                while (got.size() < most && rows.next()) {
                    got.add(rows.getInt(1));
                }
            }
            connection.commit();
            connection.setAutoCommit(true);
            return Arrays.asList(got, told("select 7"));
        }

        Object copyIn() throws Exception {
            var lines = new StringBuilder();
            for (int i = 0; i < 3000; i++) {
                lines.append(i).append("\tn").append(i).append("\t\\\\x00ff\n");
            }
            var copied = driver().getCopyAPI().copyIn("copy d_bulk from stdin", new StringReader(lines.toString()));
            return Arrays.asList(copied, told("select count(*), sum(id) from d_bulk"));
        }

        Object copyOut() throws Exception {
            var got = new ArrayList<Object>();
            for (var form : List.of("text", "csv", "binary")) {
                var out = new ByteArrayOutputStream();
                var text = "copy (select * from d_bulk order by id, name, raw limit 500) to stdout (format " + form + ")";
                got.add(driver().getCopyAPI().copyOut(text, out));
                got.add(HexFormat.of().formatHex(out.toByteArray()));
            }
            return got;
        }

        Object copyThatFails() throws Exception {
            return driver().getCopyAPI().copyIn("copy d_bulk (id) from stdin", new StringReader("1\nx\n"));
        }

        Object copyGivenUp() throws SQLException {
            CopyIn half = driver().getCopyAPI().copyIn("copy d_bulk (id) from stdin");
            var line = "1\n".getBytes(StandardCharsets.UTF_8);
            half.writeToCopy(line, 0, line.length);
            half.cancelCopy();
            return told("select 7");
        }

        Object notified() throws SQLException {
            told("listen d_words");
            try (var other = connect()) {
                WithJdbc.told(other, "notify d_words, 'hello'");
                PGNotification got = driver().getNotifications(10_000)[0];
                return Arrays.asList(got.getName(), got.getParameter(), got.getPID() == other.unwrap(PGConnection.class).getBackendPID());
            }
        }

        Object cancelled() throws Exception {
            try (var slow = connection.createStatement()) {
                var cancel = CompletableFuture.runAsync(() -> cancel(slow));
                try {
                    slow.execute("select pg_sleep(300)");
                    return "no error";
                } catch (SQLException error) {
                    cancel.get();
                    return Arrays.asList(refusal(error), told("select 7"));
                }
            }
        }

        // Waits until the session sleeps.
        void cancel(Statement slow) {
            try (var other = connect();
                    var look = other.prepareStatement("select 1 from pg_stat_activity where pid = ? and wait_event = 'PgSleep'")) {
                look.setInt(1, driver().getBackendPID());
                while (!look.executeQuery().next()) {}
                slow.cancel();
            } catch (SQLException error) {
                throw new IllegalStateException(error);
            }
        }

        Object name(int id) throws SQLException {
            try (var statement = connection.prepareStatement("select name, price from d_items where id = ?")) {
                statement.setInt(1, id);
                var got = rows(statement.executeQuery());
                return Arrays.asList(got, statement.unwrap(PGStatement.class).isUseServerPrepare());
            }
        }

        Object prepared() throws SQLException {
            var got = new ArrayList<Object>();
            for (int i = 0; i < 20; i++) {
                got.add(name(i % 5));
            }
            told("deallocate all");
            got.add(name(2));
            return got;
        }

        Object preparedThenAltered() throws SQLException {
            told("create table d_altered as select 1 as id");
            try (var statement = connection.prepareStatement("select * from d_altered")) {
                var got = new ArrayList<Object>();
                for (int i = 0; i < 8; i++) {
                    got.add(rows(statement.executeQuery()));
                }
                told("alter table d_altered add column more text default 'more'");
                for (int i = 0; i < 2; i++) {
                    try {
                        got.add(rows(statement.executeQuery()));
                    } catch (SQLException error) {
                        got.add(refusal(error));
                    }
                }
                return got;
            }
        }

        Object metadata() throws SQLException {
            var data = connection.getMetaData();
            var got = new ArrayList<Object>();
            var mine = "d\\_%";
            for (var rows : List.of(
                    data.getSchemas(), data.getTables(null, "public", mine, null), data.getColumns(null, "public", mine, null),
                    data.getPrimaryKeys(null, "public", "d_items"), data.getImportedKeys(null, "public", "d_items"),
                    data.getExportedKeys(null, "public", "d_kinds"), data.getIndexInfo(null, "public", "d_items", false, false),
                    data.getTablePrivileges(null, "public", "d_items"), data.getBestRowIdentifier(null, "public", "d_items", 0, true),
                    data.getFunctions(null, "pg_catalog", "lower%"), data.getProcedures(null, "public", mine), data.getTypeInfo())) {
                got.add(rows(rows));
            }
            return got;
        }
    }
}
