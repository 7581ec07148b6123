"""OAUTHBEARER by libpq 18 itself: the hook that programs have for tokens, the discovery that libpq asks for by itself."""
import ctypes, os, pathlib, sys
import psycopg, psycopg_binary

libs = pathlib.Path(psycopg_binary.__file__).parent.parent / "psycopg_binary.libs"
libpq = ctypes.CDLL(str(next(libs.glob("libpq-*.so*"))))
assert libpq.PQlibVersion() >= 180000, libpq.PQlibVersion()


class Request(ctypes.Structure):
    _fields_ = [("openid_configuration", ctypes.c_char_p), ("scope", ctypes.c_char_p), ("async_", ctypes.c_void_p),
                ("cleanup", ctypes.c_void_p), ("token", ctypes.c_char_p), ("user", ctypes.c_void_p)]


asked = []
token = os.environ["CHECKS_TOKEN"].encode()


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def hook(kind, conn, data):
    if kind != 1:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(Request)).contents
    asked.append((request.openid_configuration, request.scope))
    request.token = token
    return 1


libpq.PQsetAuthDataHook.argtypes = [ctypes.c_void_p]
libpq.PQsetAuthDataHook(ctypes.cast(hook, ctypes.c_void_p))
libpq.PQconnectdb.restype = ctypes.c_void_p
libpq.PQconnectdb.argtypes = [ctypes.c_char_p]
libpq.PQstatus.argtypes = [ctypes.c_void_p]
libpq.PQerrorMessage.argtypes = [ctypes.c_void_p]
libpq.PQerrorMessage.restype = ctypes.c_char_p
libpq.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
libpq.PQexec.restype = ctypes.c_void_p
libpq.PQgetvalue.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
libpq.PQgetvalue.restype = ctypes.c_char_p
conn = libpq.PQconnectdb(os.environ["CHECKS_DSN"].encode())
print("asked", asked)
if libpq.PQstatus(conn) != 0:
    print("refused", libpq.PQerrorMessage(conn).decode())
    sys.exit(0)
print("in", libpq.PQgetvalue(libpq.PQexec(conn, b"select 40 + 2"), 0, 0).decode())
