# The role by which the door logs in. No superuser: that would make every mask advisory.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres --set password="$(cat /secrets/role-password)" <<'SQL'
CREATE ROLE sallyport LOGIN PASSWORD :'password';
GRANT CONNECT, TEMPORARY ON DATABASE bank TO sallyport;
SQL
