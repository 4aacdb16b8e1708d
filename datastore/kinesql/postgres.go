package kinesql

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"

	"github.com/skerry-io/skerry/internal/fault"
)

// postgresTable is the table of kine's, so that a database of another of its users can be taken over.
func postgresTable() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS kine (id BIGSERIAL PRIMARY KEY, name TEXT COLLATE "C", created INTEGER, deleted INTEGER,
			create_revision BIGINT, prev_revision BIGINT, lease INTEGER, value BYTEA, old_value BYTEA)`,
		`CREATE INDEX IF NOT EXISTS kine_name_index ON kine (name)`,
		`CREATE INDEX IF NOT EXISTS kine_name_id_index ON kine (name, id)`,
		`CREATE INDEX IF NOT EXISTS kine_id_deleted_index ON kine (id, deleted)`,
		`CREATE INDEX IF NOT EXISTS kine_prev_revision_index ON kine (prev_revision)`,
		`CREATE UNIQUE INDEX IF NOT EXISTS kine_name_prev_revision_uindex ON kine (name, prev_revision)`,
		`CREATE INDEX IF NOT EXISTS kine_list_query_index ON kine (name, id DESC, deleted)`,
	}
}

// postgresOrder makes writers wait for each other from before they get a revision until they have committed: without it a
// write can become visible after one with a higher revision, and whoever watches from there never hears of it.
const postgresOrder = `INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value, old_value)
	SELECT v.name, v.created, v.deleted, v.create_revision, v.prev_revision, v.lease, v.value, (SELECT k.value FROM kine AS k WHERE k.id = v.former)
	FROM (SELECT pg_advisory_xact_lock(1802399333) AS held, ?::text AS name, ?::integer AS created, ?::integer AS deleted, ?::bigint AS create_revision,
		?::bigint AS prev_revision, ?::integer AS lease, ?::bytea AS value, ?::bigint AS former) AS v
	RETURNING id`

func (c Config) postgres() (*dialect, error) {
	settings, err := c.postgresSettings()
	if err != nil {
		return nil, err
	}
	code := func(err error) string {
		var told *pgconn.PgError
		if errors.As(err, &told) {
			return told.Code
		}
		return ""
	}
	return &dialect{
		name:      "pgx",
		connector: whole{stdlib.GetConnector(*settings)},
		numbered:  true,
		schema:    postgresTable(),
		hold:      "LOCK TABLE kine IN ACCESS EXCLUSIVE MODE", // a server that starts looks at the indexes, and so waits
		insert:    "INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value) VALUES ($1, $2, $3, 0, $4, $5, $6, $7)",
		next:      "SELECT setval(pg_get_serial_sequence('kine', 'id'), $1::bigint)",
		create:    func(ctx context.Context) error { return createPostgres(ctx, settings) },
		missing:   func(err error) bool { return code(err) == pgerrcode.InvalidCatalogName },
		exists: func(err error) bool {
			switch code(err) { // two servers may make the same at the same time
			case pgerrcode.DuplicateDatabase, pgerrcode.DuplicateTable, pgerrcode.UniqueViolation, pgerrcode.DuplicateObject:
				return true
			}
			return false
		},
		soon: func(err error) bool {
			switch code(err) {
			case pgerrcode.CannotConnectNow, pgerrcode.TooManyConnections, pgerrcode.AdminShutdown, pgerrcode.CrashShutdown:
				return true
			}
			return false
		},
		adapt: adaptPostgres,
		size:  `SELECT pg_total_relation_size('kine')`,
		compact: `DELETE FROM kine WHERE id IN (
			SELECT prev_revision FROM kine WHERE name <> 'compact_rev_key' AND prev_revision <> 0 AND id <= ?
			UNION SELECT id FROM kine WHERE deleted <> 0 AND id <= ? AND id < (SELECT max(id) FROM kine))`,
	}, nil
}

func adaptPostgres(rows *generic.Generic) {
	rows.InsertSQL = query.New(postgresOrder, "$", true, "Insert")
	rows.FillRetryDuration = time.Millisecond
	is := func(err error) *pgconn.PgError {
		var told *pgconn.PgError
		if errors.As(err, &told) && told.Code == pgerrcode.UniqueViolation {
			return told
		}
		return nil
	}
	rows.InsertRetry = func(err error) bool { // another server has filled the place of this revision
		told := is(err)
		return told != nil && told.ConstraintName == "kine_pkey"
	}
	rows.TranslateErr = func(err error) error {
		if is(err) != nil {
			return server.ErrKeyExists
		}
		return err
	}
	rows.ErrCode = func(err error) string {
		var told *pgconn.PgError
		switch {
		case err == nil:
			return ""
		case errors.As(err, &told):
			return told.Code
		}
		return "connection"
	}
	rows.TranslateStartKeyFunc = func(key string) string { // a text of Postgres holds no zero byte, and no key holds this one
		if before, next := strings.CutSuffix(key, "\x00"); next {
			return before + "\x1a"
		}
		return key
	}
}

// postgresSettings reads the endpoint as Postgres' own programs do.
func (c Config) postgresSettings() (*pgx.ConnConfig, error) {
	u, err := url.Parse(c.Endpoint.Source.Reveal())
	if err != nil {
		return nil, fault.New("datastore-endpoint is not the address of a Postgres database").Fix("write letters other than a-z and 0-9 in user and password as %%XX")
	}
	wanted := u.Query()
	for name, file := range map[string]string{"sslrootcert": c.CAFile, "sslcert": c.CertFile, "sslkey": c.KeyFile} {
		if file == "" || wanted.Has(name) {
			continue
		}
		wanted.Set(name, file)
		if !wanted.Has("sslmode") {
			wanted.Set("sslmode", "verify-full")
		}
	}
	u.RawQuery = wanted.Encode()
	settings, err := pgx.ParseConfig(u.String())
	var told *pgconn.ParseConfigError
	switch {
	case errors.As(err, &told): // its text repeats the address
		return nil, fault.New("datastore-endpoint is not the address of a Postgres database").Because(withoutAddress(told)).
			Fix("check the parameters behind the question mark, and the files that they name")
	case err != nil:
		return nil, fault.New("datastore-endpoint is not the address of a Postgres database").Fix("check its host, port and parameters")
	}
	return settings, nil
}

// withoutAddress is the part of an error that has no password in it: a file that cannot be read, a certificate that is none.
func withoutAddress(told *pgconn.ParseConfigError) error {
	inner := told.Unwrap()
	if inner == nil {
		return nil
	}
	var address *url.Error
	if errors.As(inner, &address) {
		return nil
	}
	return inner
}

// createPostgres makes the database, over the one that every Postgres has.
func createPostgres(ctx context.Context, settings *pgx.ConnConfig) error {
	first := settings.Copy()
	first.Database = "postgres"
	db := sql.OpenDB(stdlib.GetConnector(*first))
	defer db.Close()
	_, err := db.ExecContext(ctx, "CREATE DATABASE "+pgx.Identifier{settings.Database}.Sanitize())
	return err
}
