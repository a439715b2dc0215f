// Command network-policies enforces NetworkPolicies for all pods of this machine, as the judge of
// kube-network-policies (SIG Network) decides. The packet filter of that project needs a kernel with
// nftables' queue expression. This one asks for no more than the target NFQUEUE of iptables:
//
//	network-policies KUBECONFIG QUEUE ADDRESS NETWORK...
//
// It judges the first packet of each connection that some rule of the packet filter puts into QUEUE.
// An address in one of the NETWORKs is that of a pod: where the API does not say yet of which, the
// packet waits for that. So nothing that a pod sends escapes because its node has not reported it yet.
// At http://ADDRESS/ it answers once it works. What it refuses it writes, a line for each packet.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
)

const (
	byAddress = "address"
	patience  = 10 * time.Second // after it, an address is not that of a pod
)

// pods finds the pod that has an address, and waits for one that is to come.
type pods struct {
	index    cache.Indexer
	networks []netip.Prefix
}

// alive tells whether the address of a pod is its own: one that has ended has given it back.
func alive(pod *core.Pod) bool {
	ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	return !pod.Spec.HostNetwork && !ended
}

func addresses(object any) ([]string, error) {
	pod, found := object.(*core.Pod), []string{}
	if alive(pod) {
		for _, one := range pod.Status.PodIPs {
			found = append(found, one.IP)
		}
	}
	return found, nil
}

// LookupPod returns the key of the pod that has an address.
func (p *pods) LookupPod(ip string) (string, bool) {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		keys, err := p.index.IndexKeys(byAddress, ip)
		if err == nil && len(keys) > 0 {
			return keys[0], true
		}
		if !p.isOfPods(ip) || time.Now().After(end) {
			return "", false
		}
	}
}

func (p *pods) isOfPods(ip string) bool {
	address, err := netip.ParseAddr(ip)
	for _, network := range p.networks {
		if err == nil && network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

func judge(ctx context.Context, engine *networkpolicy.PolicyEngine, payload []byte) int {
	packet, err := network.ParsePacket(payload)
	if err != nil {
		return nfqueue.NfAccept // no TCP, UDP or SCTP: policies say nothing of it
	}
	allowed, err := engine.EvaluatePacket(ctx, &packet)
	if allowed && err == nil {
		return nfqueue.NfAccept
	}
	fmt.Printf("refused %s %s to %s:%d\n", packet.Proto, packet.SrcIP, packet.DstIP, packet.DstPort)
	return nfqueue.NfDrop
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	number := must(strconv.ParseUint(os.Args[2], 10, 16))
	config := must(clientcmd.BuildConfigFromFlags("", os.Args[1]))
	factory := informers.NewSharedInformerFactory(must(kubernetes.NewForConfig(config)), 0)
	podInformer, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	found := &pods{index: podInformer.Informer().GetIndexer()}
	for _, one := range os.Args[4:] {
		found.networks = append(found.networks, must(netip.ParsePrefix(one)))
	}
	if err := podInformer.Informer().AddIndexers(cache.Indexers{byAddress: addresses}); err != nil {
		log.Fatal(err)
	}
	policies := networkpolicy.NewStandardNetworkPolicy("", namespaces, podInformer, factory.Networking().V1().NetworkPolicies())
	known := podinfo.NewInformerProvider(podInformer, namespaces, nil, []podinfo.IPResolver{found})
	engine := networkpolicy.NewPolicyEngine(known, []api.PolicyEvaluator{policies})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	queue := must(nfqueue.Open(&nfqueue.Config{
		NfQueue: uint16(number), MaxPacketLen: 128, MaxQueueLen: 4096, Copymode: nfqueue.NfQnlCopyPacket,
	}))
	decide := func(asked nfqueue.Attribute) int {
		// Each by itself, so that no packet waits for the address of another's pod.
		go func() {
			if err := queue.SetVerdict(*asked.PacketID, judge(ctx, engine, *asked.Payload)); err != nil {
				log.Print(err)
			}
		}()
		return 0
	}
	if err := queue.RegisterWithErrorFunc(ctx, decide, func(err error) int { log.Print(err); return 0 }); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Args[3], http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
}
