package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"florin/domain/errs"
	domainuser "florin/domain/user"
	"florin/infra/database"
	"florin/service/auth"
	usersvc "florin/service/user"
)

// adminName is the administrator that the first start makes.
const adminName = "admin"

// passwordFile is where a drawn administrator's password is kept, in the data folder.
func passwordFile(dataDir string) string { return filepath.Join(dataDir, "admin_password") }

// keepPassword writes an administrator's name and password for the owner alone, also where a file of
// an earlier database is in the way.
func keepPassword(path, username, password string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s%s\n", keptFor(username), password)
	return errors.Join(err, file.Close())
}

// keptFor is how the file begins that keeps the user's password.
func keptFor(username string) string { return username + " " }

func (p *program) operatorsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "operators",
		Short: "Look after the administrators",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	reset := &cobra.Command{
		Use:   "reset [username]",
		Short: "Draw a new password for an administrator, by default for admin",
		Args:  cobra.MaximumNArgs(1),
		Long: "Draws a new password, prints it once, and ends every session of the administrator.\n" +
			"It works on the database, whether servers run or not, so it is for whoever may read\n" +
			"the database's settings.",
		Example: "  florin operators reset\n  florin operators reset --json grace",
		RunE: func(c *cobra.Command, args []string) error {
			name := adminName
			if len(args) == 1 {
				name = args[0]
			}
			return p.resetOperator(c.Context(), name)
		},
	}
	c.AddCommand(reset)
	return c
}

func (p *program) resetOperator(ctx context.Context, name string) error {
	var drawn string
	err := p.withStore(ctx, func(db *database.DB) error {
		users := database.NewUsers(db)
		service, err := usersvc.NewService(usersvc.ServiceDeps{Users: users, Accounts: users,
			Credentials: hashing{auth.NewPasswords(auth.StandardCost, 1, 0)}, Now: systemClock})
		if err != nil {
			return err
		}
		drawn, err = service.ResetAdmin(ctx, name, operator())
		return err
	})
	if errs.KindOf(err) == errs.NotFound {
		return fmt.Errorf("no administrator is called %q", name)
	}
	if err != nil {
		return err
	}
	p.forgetPassword(name)
	return p.print(map[string]string{"username": name, "password": drawn}, func(w io.Writer) {
		fmt.Fprintf(
			w,
			"The user %s has the password %s from now on; it is shown this once. All their sessions have ended.\n",
			name,
			drawn,
		)
	})
}

// forgetPassword takes away what is kept of the user's password: it is good no longer.
func (p *program) forgetPassword(name string) {
	config, err := loadStoreConfig(p.environ)
	if err == nil {
		var kept []byte
		path := passwordFile(config.DataDir)
		if kept, err = os.ReadFile(path); err == nil && bytes.HasPrefix(kept, []byte(keptFor(name))) {
			err = os.Remove(path)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.commandLog(slog.LevelWarn).Warn("an old password stays in the data folder", "error", err)
	}
}

// hashing is what setting a password needs of authentication. Running servers see within seconds
// that the sessions have ended.
type hashing struct{ *auth.Passwords }

var _ usersvc.Credentials = hashing{}

func (h hashing) Hash(
	ctx context.Context, password string, _ domainuser.Origin,
) (string, error) {
	return h.Passwords.Hash(ctx, password, "")
}

func (hashing) Confirm(
	context.Context, domainuser.Principal, domainuser.User, string, domainuser.Origin,
) error {
	return errors.New("no password is confirmed here")
}

func (hashing) Forget(uuid.UUID) {}

func (hashing) Normal(password string) string { return auth.Normal(password) }
