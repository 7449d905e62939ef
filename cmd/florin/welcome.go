package main

import (
	"fmt"
	"io"
	"strings"

	"florin/docs"
	"florin/webapi"
)

// guides are the documents that the server shows.
func guides() []webapi.Guide {
	given := docs.Guides()
	shown := make([]webapi.Guide, len(given))
	for i, g := range given {
		shown[i] = webapi.Guide(g)
	}
	return shown
}

// walkFor is the walk of the front page. In production there is no mock bank to walk to.
func walkFor(config Config) webapi.Walk {
	if config.Production {
		return webapi.Walk{}
	}
	return webapi.Walk{Script: docs.Walk, URL: docs.WalkURL}
}

type greeting struct {
	URL           string `json:"url"`
	Docs          string `json:"docs"`
	OpenAPI       string `json:"openapi"`
	AdminURL      string `json:"admin_url"`
	AdminUser     string `json:"admin_user,omitempty"`
	AdminPassword string `json:"admin_password,omitempty"`
	// AdminPasswordFile holds the password too, for the case that this scrolls away.
	AdminPasswordFile string `json:"admin_password_file,omitempty"`
}

// welcome says what to try. A drawn administrator's password is shown here once.
func (p *program) welcome(app *App) error {
	g := greeting{
		URL:      app.PublicURL(),
		Docs:     app.PublicURL() + "/docs",
		OpenAPI:  app.PublicURL() + "/openapi.json",
		AdminURL: app.AdminURL(),
	}
	if app.adminMade.Generated != "" {
		g.AdminUser, g.AdminPassword = app.adminMade.Username, app.adminMade.Generated
		g.AdminPasswordFile = passwordFile(app.Config.DataDir)
	}
	if app.Config.Production {
		return nil
	}
	return p.print(g, func(w io.Writer) {
		fmt.Fprintf(
			w,
			"\nFlorin serves %s, with its documentation at %s and metrics at %s/metrics.\n",
			g.URL,
			g.Docs,
			g.AdminURL,
		)
		if g.AdminPassword != "" {
			fmt.Fprintf(
				w,
				"The user admin has the password %s - it is also in %s.\n",
				g.AdminPassword,
				g.AdminPasswordFile,
			)
		}
		fmt.Fprint(
			w,
			"\nTo move some mock money, paste this into a shell, or run \"make demo\" in one. Ctrl-C ends the server in order.\n\n",
		)
		for line := range strings.Lines(strings.Replace(docs.Walk, docs.WalkURL, "url="+g.URL+"\n", 1)) {
			fmt.Fprint(w, indented(line))
		}
	})
}

// indented sets a line of the walk off from the rest.
func indented(line string) string {
	if line == "\n" {
		return line
	}
	return "  " + line
}
