package kinesql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/skerry-io/skerry/internal/fault"
)

// What MySQL calls what went wrong.
const (
	mysqlTooManyConnections  = 1040
	mysqlDatabaseExists      = 1007
	mysqlUnknownDatabase     = 1049
	mysqlTableExists         = 1050
	mysqlServerShutdown      = 1053
	mysqlDuplicateKeyName    = 1061
	mysqlDuplicateEntry      = 1062
	mysqlUserHasTooMany      = 1203
	mysqlTransactionConflict = 1213
	mysqlLockTimeout         = 1205
)

// mysqlTable is the table of kine's, so that a database of another of its users can be taken over, but that its names are
// bytes: those that differ in case are two. And one row of our own that writers wait for.
func mysqlTable() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS kine (id BIGINT UNSIGNED AUTO_INCREMENT, name VARBINARY(630), created INTEGER, deleted INTEGER,
			create_revision BIGINT UNSIGNED, prev_revision BIGINT UNSIGNED, lease INTEGER, value MEDIUMBLOB, old_value MEDIUMBLOB, PRIMARY KEY (id)) ENGINE=InnoDB`,
		`CREATE INDEX kine_name_index ON kine (name)`,
		`CREATE INDEX kine_name_id_index ON kine (name, id)`,
		`CREATE INDEX kine_id_deleted_index ON kine (id, deleted)`,
		`CREATE INDEX kine_prev_revision_index ON kine (prev_revision)`,
		`CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision)`,
		`CREATE TABLE IF NOT EXISTS skerry_order (id INTEGER PRIMARY KEY) ENGINE=InnoDB`,
		`INSERT IGNORE INTO skerry_order (id) VALUES (1)`,
	}
}

// mysqlOrder makes writers wait for each other from before they get a revision until they have committed; see postgresOrder.
const mysqlOrder = `INSERT INTO kine (name, created, deleted, create_revision, prev_revision, lease, value, old_value)
	SELECT ?, ?, ?, ?, ?, ?, ?, (SELECT value FROM kine WHERE id = ?) FROM skerry_order WHERE id = 1 FOR UPDATE`

func (c Config) mysql() (*dialect, error) {
	settings, err := c.mysqlSettings()
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		return nil, fault.New("datastore-endpoint is not the address of a MySQL database").Fix("check its parameters")
	}
	return &dialect{
		name:      "mysql",
		connector: whole{connector},
		schema:    mysqlTable(),
		hold:      "SELECT id FROM skerry_order WHERE id = 1 FOR UPDATE", // a server that starts wants to insert it, and so waits
		insert:    "INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value) VALUES (?, ?, ?, 0, ?, ?, ?, ?)",
		create:    func(ctx context.Context) error { return createMySQL(ctx, settings) },
		missing:   func(err error) bool { return mysqlSays(err, mysqlUnknownDatabase) },
		exists: func(err error) bool {
			return mysqlSays(err, mysqlDatabaseExists, mysqlTableExists, mysqlDuplicateKeyName, mysqlDuplicateEntry)
		},
		soon: func(err error) bool {
			return mysqlSays(err, mysqlTooManyConnections, mysqlServerShutdown, mysqlUserHasTooMany) || errors.Is(err, mysql.ErrInvalidConn)
		},
		adapt: adaptMySQL,
		size: `SELECT CAST(coalesce(sum(data_length + index_length), 0) AS UNSIGNED) FROM information_schema.TABLES
			WHERE table_schema = DATABASE() AND table_name = 'kine'`,
		compact: `DELETE kv FROM kine AS kv INNER JOIN (
			SELECT prev_revision AS id FROM kine WHERE name <> 'compact_rev_key' AND prev_revision <> 0 AND id <= ?
			UNION SELECT id FROM kine WHERE deleted <> 0 AND id <= ? AND id < (SELECT max(id) FROM kine)) AS gone ON kv.id = gone.id`,
	}, nil
}

func mysqlSays(err error, numbers ...uint16) bool {
	var told *mysql.MySQLError
	if !errors.As(err, &told) {
		return false
	}
	for _, n := range numbers {
		if told.Number == n {
			return true
		}
	}
	return false
}

func adaptMySQL(rows *generic.Generic) {
	rows.LastInsertID = true
	rows.InsertLastInsertIDSQL = query.New(mysqlOrder, "?", false, "Insert")
	rows.Retry = func(err error) bool { return mysqlSays(err, mysqlTransactionConflict, mysqlLockTimeout) }
	rows.TranslateErr = func(err error) error {
		if mysqlSays(err, mysqlDuplicateEntry) {
			return server.ErrKeyExists
		}
		return err
	}
	rows.ErrCode = func(err error) string {
		var told *mysql.MySQLError
		switch {
		case err == nil:
			return ""
		case errors.As(err, &told):
			return strconv.Itoa(int(told.Number))
		}
		return "connection"
	}
	rows.TranslateStartKeyFunc = func(key string) string { // the lowest letter that keys hold and that is compared as one
		if before, next := strings.CutSuffix(key, "\x00"); next {
			return before + "#"
		}
		return key
	}
}

func (c Config) mysqlSettings() (*mysql.Config, error) {
	settings, err := mysql.ParseDSN(c.Endpoint.Source.Reveal())
	if err != nil { // the cause may repeat a part of the password
		return nil, fault.New("datastore-endpoint is not the address of a MySQL database").Fix("write mysql://USER:PASSWORD@tcp(HOST:3306)/DATABASE, and check its parameters")
	}
	settings.InterpolateParams = true // one message to the database instead of three
	settings.Logger = &mysql.NopLogger{}
	if c.CAFile == "" && c.CertFile == "" {
		return settings, nil
	}
	files := transport.TLSInfo{TrustedCAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	if settings.TLS, err = files.ClientConfig(); err != nil {
		return nil, fault.New("read the datastore's certificates").Because(err).Fix("check %s, %s and %s", c.CAFile, c.CertFile, c.KeyFile)
	}
	settings.TLS.MinVersion = tls.VersionTLS12
	settings.TLSConfig = ""
	return settings, nil
}

// createMySQL makes the database, over a connection to none.
func createMySQL(ctx context.Context, settings *mysql.Config) error {
	first := settings.Clone()
	first.DBName = ""
	connector, err := mysql.NewConnector(first)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS `"+strings.ReplaceAll(settings.DBName, "`", "``")+"`")
	return err
}
