// Command netpol runs the upstream NetworkPolicy suite (k8s.io/kubernetes/test/e2e/network/netpol) against a cluster:
// it is how the test bed shows that its network plugins enforce, or do not.
//
// Its flags are those of Kubernetes' e2e.test and of ginkgo (--kubeconfig, --ginkgo.focus, --ginkgo.skip,
// --ginkgo.json-report, ...), and --agnhost. As each test ends it is told on stderr, in one line.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	_ "k8s.io/kubernetes/test/e2e/network/netpol"
	"k8s.io/kubernetes/test/utils/image"
)

var agnhost = flag.String("agnhost", "", "The image that the suite's pods run, REGISTRY/PATH@sha256:DIGEST or REGISTRY/PATH:TAG; by default upstream's.")

// suite is what ginkgo needs of a *testing.T.
type suite struct{ failed bool }

func (s *suite) Fail() { s.failed = true }

func main() {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	framework.AfterReadingAllFlags(&framework.TestContext)
	if *agnhost != "" {
		if err := replaceAgnhost(*agnhost); err != nil {
			fmt.Fprintln(os.Stderr, "--agnhost:", err)
			os.Exit(2)
		}
	}
	tellProgress() // after the flags: reading them makes ginkgo go through the suite once, dry, and drop such nodes
	gomega.RegisterFailHandler(framework.Fail)
	outcome := &suite{}
	if !ginkgo.RunSpecs(outcome, "NetworkPolicy") || outcome.failed {
		os.Exit(1)
	}
}

// tellProgress has each test told on stderr when it ends.
func tellProgress() {
	var ended, all int
	ginkgo.ReportBeforeSuite(func(report ginkgo.Report) { all = report.PreRunStats.SpecsThatWillRun })
	ginkgo.ReportAfterEach(func(report ginkgo.SpecReport) {
		if !report.State.Is(types.SpecStateSkipped | types.SpecStatePending) {
			ended++
			seconds := time.Since(report.StartTime).Seconds()
			fmt.Fprintf(os.Stderr, "[%d/%d] %s in %.1f s: %s\n", ended, all, report.State, seconds, report.LeafNodeText)
		}
	})
}

// replaceAgnhost has the suite's pods run this image. The framework puts references together as REGISTRY/NAME:VERSION,
// so that NAME@sha256:DIGEST comes out right when the digest's algorithm is taken for a part of the name.
func replaceAgnhost(reference string) error {
	slash, colon := strings.LastIndex(reference, "/"), strings.LastIndex(reference, ":")
	if slash < 0 || colon < slash {
		return fmt.Errorf("%q is not REGISTRY/PATH@sha256:DIGEST, nor REGISTRY/PATH:TAG", reference)
	}
	configuration := image.GetConfig(image.Agnhost)
	configuration.SetRegistry(reference[:slash])
	configuration.SetName(reference[slash+1 : colon])
	configuration.SetVersion(reference[colon+1:])
	image.GetImageConfigs()[image.Agnhost] = configuration
	return nil
}
