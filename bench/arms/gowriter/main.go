// The bare writer in Go: applies what it is told of, and nothing else. No watch, no cache, no planning.
//
// "gowriter KUBECONFIG" speaks the protocol of bench/arms/writer.py: it says "ready", reads jobs from standard input, one JSON
// object a line, does eight of them at once, and says "done" at the end of its input. Each request goes through client-go's REST
// client as the dynamic client would send it, and each answer is decoded into an unstructured object as the dynamic client does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const workers = 8

type request struct {
	Path   string            `json:"path"`
	Body   json.RawMessage   `json:"body"`
	Kind   types.PatchType   `json:"kind"`
	Params map[string]string `json:"params"`
}

type job struct {
	Waves [][]request `json:"waves"`
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: gowriter KUBECONFIG"))
	}
	client, err := connect(os.Args[1])
	if err != nil {
		fail(err)
	}
	jobs := make(chan job, 1<<16)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for next := range jobs {
				do(client, next)
			}
		})
	}
	fmt.Println("ready")
	read(jobs)
	group.Wait()
	fmt.Println("done")
}

func connect(kubeconfig string) (rest.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no limit
	config.UserAgent = "bench-go/1"
	config.GroupVersion = &schema.GroupVersion{}
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	config.AcceptContentTypes = "application/json"
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return client, client.Get().AbsPath("/version").Do(context.Background()).Error() // it is connected once it is ready
}

func read(jobs chan<- job) {
	defer close(jobs)
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := input.ReadBytes('\n')
		if len(line) > 1 {
			var next job
			if err := json.Unmarshal(line, &next); err != nil {
				fail(err)
			}
			jobs <- next
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
	}
}

func do(client rest.Interface, what job) {
	for _, wave := range what.Waves {
		if len(wave) == 1 {
			write(client, wave[0])
			continue
		}
		var group sync.WaitGroup
		for _, one := range wave {
			group.Go(func() { write(client, one) })
		}
		group.Wait()
	}
}

func write(client rest.Interface, one request) {
	sent := client.Patch(one.Kind).AbsPath(one.Path).Body([]byte(one.Body))
	for name, value := range one.Params {
		sent = sent.Param(name, value)
	}
	answer, err := sent.Do(context.Background()).Raw()
	if err != nil {
		fail(fmt.Errorf("%s: %w", one.Path, err))
	}
	if _, err := runtime.Decode(unstructured.UnstructuredJSONScheme, answer); err != nil {
		fail(fmt.Errorf("%s: %w", one.Path, err))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
