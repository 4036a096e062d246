// Command netpol runs the upstream NetworkPolicy suite (k8s.io/kubernetes/test/e2e/network/netpol) against a cluster:
// it is how the test bed shows that its network plugins enforce, or do not.
//
// Its flags are those of Kubernetes' e2e.test and of ginkgo: --kubeconfig, --ginkgo.focus, --ginkgo.skip, ...
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	_ "k8s.io/kubernetes/test/e2e/network/netpol"
)

// suite is what ginkgo needs of a *testing.T.
type suite struct{ failed bool }

func (s *suite) Fail() { s.failed = true }

func main() {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	framework.AfterReadingAllFlags(&framework.TestContext)
	gomega.RegisterFailHandler(framework.Fail)
	outcome := &suite{}
	if !ginkgo.RunSpecs(outcome, "NetworkPolicy") || outcome.failed {
		fmt.Fprintln(os.Stderr, "the suite failed")
		os.Exit(1)
	}
}
