package account

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextCellsAreNoFormulas(t *testing.T) {
	for text, want := range map[string]string{"": "", "deposit": "deposit", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\ta": "'\ta", "a=b": "a=b"} {
		require.Equal(t, want, textCell(text))
	}
}

func TestSequenceSurvivesItsCursor(t *testing.T) {
	for _, seq := range []int64{1, 255, 1 << 40} {
		require.Equal(t, seq, seqOf(idOf(seq)))
	}
}
