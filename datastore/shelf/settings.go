package shelf

import "github.com/skerry-io/skerry/internal/config"

// StorageOf is the storage that settings say.
func StorageOf(c config.Backups) Storage {
	return Storage{Endpoint: c.BackupS3Endpoint, Region: c.BackupS3Region, Lookup: c.BackupS3BucketLookup, CAFile: c.BackupS3EndpointCA,
		SkipVerify: c.BackupS3SkipSSLVerify, Insecure: c.BackupS3Insecure, AccessKey: c.BackupS3AccessKey.Reveal(),
		SecretKey: c.BackupS3SecretKey.Reveal(), Session: c.BackupS3SessionToken.Reveal(), Timeout: c.BackupS3Timeout}
}
