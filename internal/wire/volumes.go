package wire

// ComponentStorage is how the setting disable calls the component that makes volumes.
const ComponentStorage = "storage"

// VolumeOrders are all that a node shall do about its volumes. A server sends another list whenever it differs.
type VolumeOrders struct {
	Orders []VolumeOrder `json:"orders"`
}

// VolumeOrder asks a node to make or to remove the directory of a volume. Carrying it out twice does no harm.
type VolumeOrder struct {
	Folder    string `json:"folder"` // name of the directory
	Remove    bool   `json:"remove,omitempty"`
	Path      string `json:"path,omitempty"`   // to remove: where the directory was made
	Volume    string `json:"volume,omitempty"` // to remove: the PersistentVolume
	Namespace string `json:"namespace"`        // of the claim that it is for
	Claim     string `json:"claim"`
	UID       string `json:"uid"`             // of the claim
	Bytes     int64  `json:"bytes,omitempty"` // to make: how much is asked for
}

// VolumeReport says how an order was carried out, or what is in the way.
type VolumeReport struct {
	VolumeOrder
	Enforced bool   `json:"enforced,omitempty"` // made: the file system keeps the volume to its size
	Trouble  string `json:"trouble,omitempty"`  // why it could not be done yet; the node goes on trying
}

// VolumeAnswer is what a server says to a report.
type VolumeAnswer struct {
	Keep bool `json:"keep"` // made: the directory belongs to a volume now; if not, nobody wants it any more
}
