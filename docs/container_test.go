package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestS76_TheImageIsSafeByDefault(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	image := string(text)
	for _, fact := range []string{"USER 65532:65532", "PROFILE=production", "ADMIN_ADDR=127.0.0.1:8081"} {
		if !strings.Contains(image, fact) {
			t.Errorf("Dockerfile lacks %s", fact)
		}
	}
	exact := regexp.MustCompile(`^(scratch|[a-z]+:\d+\.\d+\.\d+\S*)$`)
	for _, from := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(image, -1) {
		if !exact.MatchString(from[1]) {
			t.Errorf("%s is no exact version", from[1])
		}
	}
}

func TestS76_EveryServiceOfTheComposeFileIsConfined(t *testing.T) {
	text, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, services, _ := strings.Cut(string(text), "\nservices:\n")
	services, _, _ = strings.Cut(services, "\nvolumes:\n")
	names := regexp.MustCompile(`(?m)^  [a-z]+:$`).FindAllStringIndex(services, -1)
	if len(names) != 2 {
		t.Fatalf("%d services", len(names))
	}
	for i, at := range names {
		end := len(services)
		if i+1 < len(names) {
			end = names[i+1][0]
		}
		service := services[at[0]:end]
		for _, fact := range []string{"    read_only: true\n", "    cap_drop: [ALL]\n",
			"    security_opt: [\"no-new-privileges:true\"]\n", "    tmpfs:"} {
			if !strings.Contains(service, fact) {
				t.Errorf("%s lacks %s", services[at[0]:at[1]], strings.TrimSpace(fact))
			}
		}
		if image := regexp.MustCompile(`image: (\S+)`).FindStringSubmatch(service); image == nil ||
			!regexp.MustCompile(`:\d+\.\d+`).MatchString(image[1]) && image[1] != "florin:local" {
			t.Errorf("%s has no pinned tag", services[at[0]:at[1]])
		}
	}
}
