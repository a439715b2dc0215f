// Command secrets-store stands in for the Secrets Store CSI driver, which can't be built from a
// Go module. It has that driver's name and the node half of its protocol, and mounts files from
// a directory of the host instead of asking a cloud:
//
//	secrets-store NODE KUBELET_ROOT SOCKET SECRETS
//
// It listens on SOCKET, which it announces to the kubelet. A volume of class C in namespace N holds the files in SECRETS/N/C.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const name = "secrets-store.csi.k8s.io"

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	registration.UnimplementedRegistrationServer
	node, socket, secrets string
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: "test"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (d *driver) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	volume := request.GetVolumeContext()
	namespace, class := volume["csi.storage.k8s.io/pod.namespace"], volume["secretProviderClass"]
	source := filepath.Join(d.secrets, namespace, class)
	files, err := os.ReadDir(source)
	if err != nil {
		// The words of the real driver, which `kubectl describe` shows.
		return nil, status.Errorf(codes.Unknown, "failed to get secretproviderclass %s/%s, error: "+
			"SecretProviderClass.secrets-store.csi.x-k8s.io %q not found", namespace, class, class)
	}
	target := request.GetTargetPath()
	if err := d.unmount(target); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", target, "tmpfs", 0, "size=1m,mode=0755"); err != nil {
		return nil, status.Errorf(codes.Internal, "mounting a tmpfs on %s: %v", target, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(source, file.Name()))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(target, file.Name()), content, 0o644); err != nil {
			return nil, err
		}
	}
	log.Printf("published %s/%s on %s", namespace, class, target)
	return &csi.NodePublishVolumeResponse{}, nil
}

func (d *driver) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	return &csi.NodeUnpublishVolumeResponse{}, d.unmount(request.GetTargetPath())
}

func (d *driver) unmount(target string) error {
	// EINVAL is a directory that is no mount point.
	if err := unix.Unmount(target, 0); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return status.Errorf(codes.Internal, "unmounting %s: %v", target, err)
	}
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (d *driver) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: name, Endpoint: d.socket, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (d *driver) NotifyRegistrationStatus(_ context.Context, said *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	log.Printf("registered: %v %s", said.GetPluginRegistered(), said.GetError())
	return &registration.RegistrationStatusResponse{}, nil
}

func serve(socket string, server *grpc.Server) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

func main() {
	node, root, socket, secrets := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	d := &driver{node: node, socket: socket, secrets: secrets}
	services, registrar := grpc.NewServer(), grpc.NewServer()
	csi.RegisterIdentityServer(services, d)
	csi.RegisterNodeServer(services, d)
	registration.RegisterRegistrationServer(registrar, d)
	go func() { log.Fatal(serve(filepath.Join(root, "plugins_registry", "secrets-store.sock"), registrar)) }()
	log.Fatal(serve(socket, services))
}
