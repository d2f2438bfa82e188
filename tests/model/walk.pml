/* SPDX-License-Identifier: MIT */
/* The reader of lib/walk.c: passes over the whole table, in which a subtotal that is done stays. Tree G > P > C; the
   entry of C may come again below G instead. G is the segment: never removed. One reader, PASSES passes at most, also
   more of them than this tree needs: there may be other sources.  Claim: lo <= total of G <= hi when all is done.
   Steps are named after the functions. look() goes entry by entry through the mapping; with -DANYORDER it takes
   generations and versions in any order, as the kernel may copy them. Writer's steps as in nest.pml (its death is its standing still; restart
   is in restart.pml).
   Mutations: M_DROP (a child is dropped when its parent has departed since, though the parent's subtotal stays)
   M_STALE (done outlives the generation it was for) M_NODROP (children stay when their parent is read again)
   M_REPLACE (a later incarnation takes the place of one that is part of a subtotal that stays) M_NOPGEN (a child is
   counted below any incarnation of its parent) M_NOGEN M_NOVER (no second look) M_NOFOLD (fold is not looked at) */
#ifndef OPS
#define OPS 4
#endif
#ifndef MAXT
#define MAXT 2
#endif
#ifndef PASSES
#define PASSES 2
#endif
#define FREE 0
#define LIVE 1
byte vG = 1, dG[2];
byte gP = 2, stP = LIVE, fP, oP, vP = 1, dP[2];
byte gC = 2, stC = LIVE, fC, oC;
bool upC = true; byte pgC = 2;            /* C's parent is P (else G), of this generation (of G: 0) */
byte truth, ops;
proctype Mgr() {
end:
  do
  :: atomic { ops < OPS && stC == LIVE -> ops++ };
     if
     :: upC -> fC = vP + 1; dP[(vP+1)&1] = dP[vP&1] + oC; vP = vP + 1
     :: else -> fC = vG + 1; dG[(vG+1)&1] = dG[vG&1] + oC; vG = vG + 1
     fi;
     gC++; stC = FREE; fC = 0; gC++
  :: atomic { ops < OPS && stP == LIVE && !(stC == LIVE && upC) -> ops++ };
     fP = vG + 1; dG[(vG+1)&1] = dG[vG&1] + oP + dP[vP&1]; vG = vG + 1;
     gP++; stP = FREE; fP = 0; gP++
  :: atomic { ops < OPS && stC == FREE && stP == LIVE -> ops++; gC++ };
     atomic { oC = 0; upC = true; pgC = gP }; stC = LIVE; gC++
  :: atomic { ops < OPS && stC == FREE -> ops++; gC++ };
     atomic { oC = 0; upC = false; pgC = 0 }; stC = LIVE; gC++
  :: atomic { ops < OPS && stP == FREE -> ops++; gP++ };
     atomic { oP = 0; dP[0] = 0; dP[1] = 0 }; stP = LIVE; gP++
  od
}
proctype Env() {
end:
  do
  :: atomic { stC == LIVE && !(gC & 1) && fC == 0 && truth < MAXT -> oC++; truth++ }
  :: atomic { stP == LIVE && !(gP & 1) && fP == 0 && truth < MAXT -> oP++; truth++ }
  od
}

/* The nodes: seen, done (k..), what was read (m..); in this pass: reading (r..), parenting and not failed (q..). What was
   looked at first: g0., v0.; and once more: g1., v1. */
bool sP, sC, kG, kP, kC, rP, rC, qG, qP, qC; byte mP, mC, mdP, mdG, ngP, ngC, npgC; bool nupC;
byte v0G, v0P, g0P, g0C, v1G, v1P, g1P, g1C;
#define TO_BE_DONE_P (!kP || ngP != g0P)
#ifdef M_DROP
#define STANDS_C (nupC -> !TO_BE_DONE_P : kG)
#else
#define STANDS_C (nupC -> (kP && ngP == npgC) : kG)
#endif
#define SAME(g,tg) (!(g & 1) && tg == g)
#ifdef M_NOFOLD
#define FOLDED(v) false
#else
#define FOLDED(v) (f != 0 && f <= v)
#endif
#ifdef M_REPLACE
#define TAKEN_C true
#else
#define TAKEN_C (!sC)
#endif
#define ALL_DONE (kG && (!sP || kP) && (!sC || kC))
inline look(vg, vp, gp, gc) {
#ifndef ANYORDER                           /* entry by entry */
  vg = vG;
  if
  :: vp = vP; gp = gP; gc = gC
  :: gc = gC; vp = vP; gp = gP
  fi
#else
  todo = 15;
  do
  :: todo & 1 -> vg = vG; todo = todo & 14
  :: todo & 2 -> vp = vP; todo = todo & 13
  :: todo & 4 -> gp = gP; todo = todo & 11
  :: todo & 8 -> gc = gC; todo = todo & 7
  :: todo == 0 -> break
  od
#endif
}
proctype R() { byte lo, tgP, tgC, t, f, tpg, todo; bool tup; byte pass;
  lo = truth;
  do
  :: pass < PASSES ->
     pass++;
     look(v0G, v0P, g0P, g0C);
     /* choose() */
     atomic {
       rP = false; rC = false; qG = false; qP = false; qC = false;
       if
       :: sC && !kC && g0C != ngC -> sC = false; if :: nupC -> kP = false :: else -> kG = false fi
       :: else
       fi;
       if :: sP && !kP && g0P != ngP -> sP = false; kG = false :: else fi;
#ifndef M_NODROP
       if :: sC && !STANDS_C -> sC = false :: else fi;
       if :: sP && !kG -> sP = false :: else fi;
#endif
     };
     /* the copy of the table, takes_part() */
     tgP = gP; t = stP; f = fP;
     atomic { if :: SAME(g0P,tgP) && t == LIVE && !kG && !sP && !FOLDED(v0G) -> rP = true :: else fi; t = 0; f = 0 };
     tgC = gC; t = stC; f = fC;
     atomic { tup = upC; tpg = pgC;
       if
       :: tup && SAME(g0C,tgC) && t == LIVE && tpg == g0P && TO_BE_DONE_P && TAKEN_C && !FOLDED(v0P) -> rC = true
       :: !tup && SAME(g0C,tgC) && t == LIVE && !kG && TAKEN_C && !FOLDED(v0G) -> rC = true
       :: else
       fi; t = 0; f = 0 };
     /* read_child(), read_values() */
     if
     :: atomic { rP -> mP = oP; sP = true;
#ifndef M_STALE
          if :: ngP != tgP -> kP = false :: else fi;
#endif
          ngP = tgP }
     :: else
     fi;
     if
     :: atomic { rC -> mC = oC; sC = true; if :: ngC != tgC -> kC = false :: else fi; ngC = tgC; nupC = tup; npgC = tpg }
     :: else
     fi;
     /* read_parent(), read_departed() */
     if :: atomic { !kG -> qG = true; mdG = dG[v0G&1] } :: else fi;
     if :: atomic { sP && tgP == ngP && TO_BE_DONE_P -> qP = true; mdP = dP[v0P&1] } :: else fi;
     atomic { qC = sC && tgC == ngC && (!kC || ngC != g0C); tgP = 0; tgC = 0; tup = false; tpg = 0 };
     look(v1G, v1P, g1P, g1C);
     /* judge() */
     atomic {
#ifndef M_NOGEN
       if :: rC && g1C != ngC -> sC = false; if :: nupC -> qP = false :: else -> qG = false fi :: else fi;
       if :: rP && g1P != ngP -> sP = false; qG = false :: else fi;
       if :: g1P != ngP -> qP = false :: else fi;
       if :: g1C != ngC -> qC = false :: else fi;
#endif
#ifndef M_NOVER
       if :: v1P != v0P -> qP = false :: else fi;
       if :: v1G != v0G -> qG = false :: else fi;
#endif
       if :: qG = false :: true fi;        /* another child of G, of P or of C departed */
       if :: qP = false :: true fi;
       if :: qC = false :: true fi;
       kG = kG || qG; kP = kP || qP; kC = kC || qC;
       rP = false; rC = false; qG = false; qP = false; qC = false;
       v0G = 0; v0P = 0; g0P = 0; g0C = 0; v1G = 0; v1P = 0; g1P = 0; g1C = 0 };
     if
     :: ALL_DONE -> break
     :: true
     fi
  :: else -> break
  od;
  atomic {
    if
    :: ALL_DONE ->
       t = mdG;
       if :: sP -> t = t + mP + mdP :: else fi;
       if
#ifdef M_NOPGEN
       :: sC && nupC && sP -> t = t + mC
#else
       :: sC && nupC && sP && npgC == ngP -> t = t + mC
#endif
       :: sC && !nupC -> t = t + mC
       :: else
       fi;
       assert(t >= lo && t <= truth)
    :: else
    fi;
    t = 0; lo = 0; pass = 0; mP = 0; mC = 0; mdP = 0; mdG = 0 }
}
init { atomic { run Mgr(); run Env(); run R() } }
